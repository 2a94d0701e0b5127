"""An OAuth2 token request (RFC 6749, section 4.4): a form, whose secret is sent and never shown."""

from typing import Annotated

from pydantic import BaseModel, SecretStr

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class ClientCredentials(BaseModel):
    grant_type: str = "client_credentials"
    scope: str


class Token(BaseModel):
    access_token: SecretStr
    token_type: str
    expires_in: int


@client.post("/oauth/token")
def fetch_token(
    result: Token,
    grant: Annotated[ClientCredentials, api.Form()],
    client_id: Annotated[str, api.Form()],
    client_secret: Annotated[SecretStr, api.Form()],
) -> Token:
    return result


@client.get("/account")
def get_account(result: dict[str, str], authorization: Annotated[SecretStr, api.Header()]) -> dict[str, str]:
    return result


token = fetch_token(ClientCredentials(scope="account"), "my-app", SecretStr("my-secret"))
print(token)
print(get_account(SecretStr(f"{token.token_type} {token.access_token.get_secret_value()}")))
