#!/bin/sh
# Runs the tests on another Python, in an environment of its own: tests/on_python.sh 3.12
#
# A Python that is not on this machine, or is the one of .venv, is passed over with a word. Under pyenv a version that
# is installed but not selected counts as there.
set -eu

version=$1
venv=.venv-$version
python=python$version
export PYENV_VERSION="$version"

if .venv/bin/python -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')"; then
    echo "Python $version: tested already, it is the one of .venv"
    exit 0
fi
if ! "$python" -c "" 2>/dev/null; then
    echo "Python $version: not on this machine"
    exit 0
fi
if [ ! -e "$venv/ready" ] || [ pyproject.toml -nt "$venv/ready" ]; then
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --upgrade pip
    "$venv/bin/python" -m pip install --quiet --editable . --group unit
    touch "$venv/ready"
fi
echo "Python $version:"
LEFT_STREAMS=100 "$venv/bin/python" -m pytest --quiet -p no:cacheprovider
