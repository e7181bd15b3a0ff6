//! DNS records of the node's zone, the zone as a file, and questions to the node's server.

use super::state::TrustState;
use crate::convert::trustchain::dns as convert;
use crate::docs::ById;
use crate::extract::{Body, Id, Params, read_body, require_type};
use crate::paging::page;
use crate::problem::{Draft, Kind};
use crate::respond::{Answer, Created, file, message};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use hypermesh_model::DnsRecordId;
use hypermesh_wire::assets::Message;
use hypermesh_wire::trustchain::{
    ChangeDnsRecord, CreateDnsRecord, DnsQuery, DnsRecord, Imported, ResolveDns, ZoneView,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A zone file (RFC 4027).
const ZONE_FILE: &str = "text/dns";
/// Longest zone file that is taken: some hundred thousand records.
const MAX_ZONE_FILE: usize = 32 << 20;

pub(crate) fn routes() -> OpenApiRouter<TrustState> {
    OpenApiRouter::default()
        .routes(routes!(list_dns_records, create_dns_record))
        .routes(routes!(change_dns_record, remove_dns_record))
        .routes(routes!(resolve))
        .routes(routes!(get_zone))
        .routes(routes!(export_zone, import_zone))
}

/// The records of the zone
#[utoipa::path(get, path = "/api/v1/dns/records", tag = "dns", params(DnsQuery),
    responses((status = 200, description = "Records by id; `link` leads to the next page", body = Vec<DnsRecord>)))]
async fn list_dns_records(
    State(state): State<TrustState>,
    uri: Uri,
    Params(query): Params<DnsQuery>,
) -> Answer<Response> {
    let records = state.trust.dns_records(&convert::filter(&query)?);
    let shown: Vec<_> = records.into_iter().filter_map(convert::shown).collect();
    Ok(page(shown, |record| &record.id, query.limit, query.after.as_deref())?.answer(&uri))
}

/// Add a record; the next answer of the DNS server has it
#[utoipa::path(post, path = "/api/v1/dns/records", tag = "dns", request_body = CreateDnsRecord,
    responses((status = 201, description = "The record", body = DnsRecord, headers(("location" = String))),
        (status = 409, description = "It is there, or contradicts another one"),
        (status = 422, description = "It is no record of this zone; `member` and `detail` say why")))]
async fn create_dns_record(
    State(state): State<TrustState>,
    Body(body): Body<CreateDnsRecord>,
) -> Answer<Created<DnsRecord>> {
    let body = known(state.trust.create_dns_record(convert::new(body)?).await?)?;
    Ok(Created { location: format!("/api/v1/dns/records/{}", body.id), body })
}

/// A record that was just written is of a type that can be written.
fn known(record: hypermesh_model::DnsRecord) -> Answer<DnsRecord> {
    convert::shown(record).ok_or_else(|| Draft::new(Kind::Unprocessable, "the record has another type"))
}

/// Change a record
#[utoipa::path(put, path = "/api/v1/dns/records/{id}", tag = "dns", params(ById), request_body = ChangeDnsRecord,
    responses((status = 200, description = "The record as it is now", body = DnsRecord),
        (status = 409, description = "It contradicts another one, or is the zone's own"),
        (status = 422, description = "It would be no record of this zone; `member` and `detail` say why")))]
async fn change_dns_record(
    State(state): State<TrustState>,
    Id(id): Id<DnsRecordId>,
    Body(body): Body<ChangeDnsRecord>,
) -> Answer<Json<DnsRecord>> {
    Ok(Json(known(state.trust.change_dns_record(&id, convert::change(body)?).await?)?))
}

/// Remove a record
#[utoipa::path(delete, path = "/api/v1/dns/records/{id}", tag = "dns", params(ById),
    responses((status = 200, description = "It is removed", body = Message),
        (status = 409, description = "It is the zone's own")))]
async fn remove_dns_record(
    State(state): State<TrustState>,
    Id(id): Id<DnsRecordId>,
) -> Answer<Json<Message>> {
    state.trust.remove_dns_record(&id).await?;
    Ok(message(format!("the record {id} is removed")))
}

/// Ask the node's DNS server, over its socket
#[utoipa::path(post, path = "/api/v1/dns/resolve", tag = "dns", request_body = ResolveDns,
    responses((status = 200, description = "The records of its answer; none where there are none",
            body = Vec<DnsRecord>),
        (status = 422, description = "The name can't be asked for")))]
async fn resolve(
    State(state): State<TrustState>,
    Body(body): Body<ResolveDns>,
) -> Answer<Json<Vec<DnsRecord>>> {
    let (domain, record_type) = convert::question(body)?;
    let found = state.trust.resolve(&domain, &record_type).await?;
    Ok(Json(found.into_iter().filter_map(convert::shown).collect()))
}

/// The zone: its name, where it is served, and its key
#[utoipa::path(get, path = "/api/v1/dns/zone", tag = "dns",
    responses((status = 200, description = "The zone", body = ZoneView)))]
async fn get_zone(State(state): State<TrustState>) -> Json<ZoneView> {
    let trust = &state.trust;
    Json(ZoneView {
        name: state.listening.zone.clone(),
        records: trust.stats().dns_records,
        addresses: trust.dns_addresses().iter().map(ToString::to_string).collect(),
        ds: trust.dns_ds(),
        dnskey: trust.dns_key(),
    })
}

/// The zone as a file (RFC 1035, 5)
#[utoipa::path(get, path = "/api/v1/dns/zone/file", tag = "dns",
    responses((status = 200, description = "The file", body = String, content_type = "text/dns")))]
async fn export_zone(State(state): State<TrustState>) -> Response {
    let name = format!("{}.zone", state.listening.zone);
    file(ZONE_FILE, &name, state.trust.export_zone())
}

/// Add the records of a zone file; all of them, or none where one is wrong
#[utoipa::path(post, path = "/api/v1/dns/zone/file", tag = "dns",
    request_body(content = String, content_type = "text/dns"),
    responses((status = 200, description = "How many were new", body = Imported),
        (status = 409, description = "One contradicts another"),
        (status = 422, description = "It is no zone file of this zone; `detail` says which line and why")))]
async fn import_zone(State(state): State<TrustState>, request: Request) -> Answer<Json<Imported>> {
    require_type(request.headers(), |essence| essence == ZONE_FILE, ZONE_FILE)?;
    let bytes = read_body(request.into_body(), MAX_ZONE_FILE).await?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Draft::new(Kind::Unprocessable, "the zone file is not UTF-8"))?;
    Ok(Json(Imported { added: state.trust.import_zone(&text).await? as u64 }))
}
