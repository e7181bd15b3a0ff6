//! Tokens: who may write, and what.

use crate::convert::{check, same_names, time};
use crate::docs::ByName;
use crate::extract::{Body, Id};
use crate::respond::{Answer, Created, message};
use crate::state::ApiState;
use axum::Json;
use axum::extract::State;
use hypermesh_mesh::{self as mesh, TokenView};
use hypermesh_model::Subject;
use hypermesh_wire::assets::Message;
use hypermesh_wire::tokens::{self as wire, CreateToken, NewToken, Token};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

same_names!(role: wire::Role => mesh::Role { Viewer, Operator, Admin });
same_names!(shown_role: mesh::Role => wire::Role { Viewer, Operator, Admin });

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default().routes(routes!(list_tokens, create_token)).routes(routes!(revoke_token))
}

fn shown(token: TokenView) -> Token {
    Token { name: token.name.0, role: shown_role(token.role), created_at: time(token.created_at) }
}

/// All tokens but the node's own, without their secrets
#[utoipa::path(get, path = "/api/v1/tokens", tag = "access",
    responses((status = 200, description = "Tokens by name", body = Vec<Token>)))]
async fn list_tokens(State(state): State<ApiState>) -> Json<Vec<Token>> {
    Json(state.mesh.tokens().into_iter().map(shown).collect())
}

/// Make a token; its secret is in this answer and nowhere else
#[utoipa::path(post, path = "/api/v1/tokens", tag = "access", request_body = CreateToken,
    responses((status = 201, description = "The token with its secret", body = NewToken,
            headers(("location" = String))),
        (status = 409, description = "The name is taken, or there are as many tokens as may be")))]
async fn create_token(
    State(state): State<ApiState>,
    Body(body): Body<CreateToken>,
) -> Answer<Created<NewToken>> {
    let name = check::id("name", &body.name, hypermesh_model::AssetId::parse)?;
    let (view, token) = state.mesh.create_token(name.as_str(), role(body.role)).await?;
    let Token { name, role, created_at } = shown(view);
    let location = format!("/api/v1/tokens/{name}");
    Ok(Created { location, body: NewToken { name, role, created_at, token } })
}

/// Make a token worthless; what its holder has stays
#[utoipa::path(delete, path = "/api/v1/tokens/{name}", tag = "access", params(ByName),
    responses((status = 200, description = "It is revoked", body = Message)))]
async fn revoke_token(State(state): State<ApiState>, Id(name): Id<Subject>) -> Answer<Json<Message>> {
    state.mesh.revoke_token(&name).await?;
    Ok(message(format!("the token of {name} is revoked")))
}
