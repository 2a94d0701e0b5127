"""The status decides the type; and problem details are there to be read."""

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class User(BaseModel):
    name: str


class NotFound(BaseModel):
    detail: str


@client.get("/users/{user_id}", response_map={200: User, 404: NotFound})
def get_user(result: User | NotFound, user_id: int) -> User | NotFound:
    return result


@client.get("/orders")
def list_orders(*, result: list[dict[str, str]]) -> list[dict[str, str]]:
    return result


for user_id in (1, 2):
    match get_user(user_id):
        case User(name=name):
            print("found", name)
        case NotFound(detail=detail):
            print("not found:", detail)

try:
    list_orders()
except api.HTTPStatusError as error:
    if error.problem is not None:
        print(error.problem.title, "-", error.problem.detail, error.problem.extensions)
