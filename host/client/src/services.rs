//! Services: HTTP guests that the node serves.

use crate::uri::{path, with_query};
use crate::{Client, ClientError, RawAnswer};
use hypermesh_wire::assets::Message;
use hypermesh_wire::executions::LogQuery;
use hypermesh_wire::services::{CreateService, Service, ServiceLogs, ServiceQuery};
use std::collections::BTreeMap;
use std::time::Duration;
use ureq::http::Method;

/// Where the node serves a service's guest.
fn guest_root(name: &str) -> String {
    format!("/guests/{name}/")
}

impl Client {
    /// Makes a service. The node may compile its component first.
    ///
    /// # Errors
    /// A 409 problem where its name is taken or nothing can be leased for it; see [`ClientError`].
    pub fn serve(&self, request: &CreateService) -> Result<Service, ClientError> {
        let body =
            serde_json::to_vec(request).map_err(|source| ClientError::Protocol { source: source.into() })?;
        let head = self.request(Method::POST, &path(&["services"]), Some("application/json"));
        self.result(self.send(head, body.as_slice(), crate::transport::SILENCE_AFTER_UPLOAD)?)
    }

    /// All services.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn services(&self) -> Result<Vec<Service>, ClientError> {
        self.get(&with_query(&path(&["services"]), &ServiceQuery::default())?)
    }

    /// One service.
    ///
    /// # Errors
    /// A 404 problem where there is none of that name; see [`ClientError`].
    pub fn service(&self, name: &str) -> Result<Service, ClientError> {
        self.get(&path(&["services", name]))
    }

    /// Ends a service and removes it.
    ///
    /// # Errors
    /// A 404 problem where there is none of that name; see [`ClientError`].
    pub fn remove_service(&self, name: &str) -> Result<Message, ClientError> {
        self.delete(&path(&["services", name]))
    }

    /// Asks a service's guest; `path` is the guest's own, with its query. Waits as long as the service lets a guest take.
    ///
    /// # Errors
    /// [`ClientError::Configuration`] for a method, path or header that HTTP doesn't know; see [`ClientError`]. What the
    /// guest answers is no error, whatever its status.
    pub fn ask_guest(
        &self,
        service: &Service,
        method: &str,
        path: &str,
        headers: &BTreeMap<String, String>,
        body: Option<&[u8]>,
    ) -> Result<RawAnswer, ClientError> {
        let method = crate::transport::method(method)?;
        let target = format!("{}{}", guest_root(&service.name), path.trim_start_matches('/'));
        let head = headers.iter().fold(self.request(method, &target, None), |head, (name, value)| {
            head.header(name.as_str(), value.as_str())
        });
        let silence = Duration::from_secs(service.timeout) + crate::transport::SILENCE;
        let answer = match body {
            Some(body) => self.send(head, body, silence)?,
            None => self.send_empty(head)?,
        };
        self.raw_answer(answer)
    }

    /// A page of a service's log.
    ///
    /// # Errors
    /// A 404 problem where there is none of that name; see [`ClientError`].
    pub fn service_logs(&self, name: &str, query: &LogQuery) -> Result<ServiceLogs, ClientError> {
        self.get_filtered(&path(&["services", name, "logs"]), query)
    }
}
