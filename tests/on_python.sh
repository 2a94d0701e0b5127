#!/bin/sh
# Runs the tests that depend on the version of Python on another one, in an environment of its own:
# tests/on_python.sh 3.12
#
# Under pyenv a version that is installed but not selected counts as there. One that this machine does not have comes
# from uv, if that is installed and can reach it. Otherwise it is passed over with a word, as is the one of .venv.
set -eu

version=$1
venv=.venv-$version
python=python$version
export PYENV_VERSION="$version"

if .venv/bin/python -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')"; then
    echo "Python $version: tested already, it is the one of .venv"
    exit 0
fi
if [ ! -e "$venv/ready" ] || [ pyproject.toml -nt "$venv/ready" ]; then
    if "$python" -c "" 2>/dev/null; then
        "$python" -m venv "$venv"
    elif ! uv venv --quiet --seed --clear --python "$version" "$venv" 2>/dev/null; then
        echo "Python $version: not on this machine, and uv does not bring it"
        exit 0
    fi
    "$venv/bin/python" -m pip install --quiet --upgrade pip
    "$venv/bin/python" -m pip install --quiet --editable . --group unit
    touch "$venv/ready"
fi
echo "Python $version:"
"$venv/bin/python" -m pytest --quiet -p no:cacheprovider --numprocesses 3 -m "every_python and not leaks"
