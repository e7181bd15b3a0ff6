//! A `wasi:http/proxy` component: answers each request with what it was asked.
//!
//! The host makes an instance for every request; nothing is kept from one to the next.

use wasip2::exports::http::incoming_handler;
use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

/// The component.
pub struct Guest;

// The export exists in components only: on this machine the logic is tested without it.
#[cfg(target_family = "wasm")]
wasip2::http::proxy::export!(Guest);

impl incoming_handler::Guest for Guest {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let is_get = matches!(request.method(), Method::Get);
        let (status, text) = respond(is_get, &request.path_with_query().unwrap_or_default());
        let headers = Fields::new();
        // Both can be refused only for what HTTP doesn't allow; the answer is then sent without.
        let _ = headers.set("content-type", &[b"text/plain; charset=utf-8".to_vec()]);
        let response = OutgoingResponse::new(headers);
        let _ = response.set_status_code(status);
        let Ok(body) = response.body() else { return };
        ResponseOutparam::set(answer, Ok(response));
        if let Ok(stream) = body.write() {
            // A reader that went away is no fault of ours.
            let _ = stream.blocking_write_and_flush(text.as_bytes());
        }
        let _ = OutgoingBody::finish(body, None);
    }
}

/// What is answered to a path: status and text.
fn respond(is_get: bool, path: &str) -> (u16, String) {
    let name = path.split('?').next().unwrap_or_default().trim_matches('/');
    match (is_get, name) {
        (false, _) => (405, "only GET is answered\n".to_owned()),
        (true, "") => (200, "hello\n".to_owned()),
        (true, name) => (200, format!("hello {name}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_greeted_and_nothing_else_is_done() {
        assert_eq!(respond(true, "/"), (200, "hello\n".to_owned()));
        assert_eq!(respond(true, "/ann?x=1"), (200, "hello ann\n".to_owned()));
        assert_eq!(respond(false, "/").0, 405);
    }
}
