//! Rotation policies, rotations, authorities and rollovers.

use super::certificates::{csr, issued, shown as shown_certificate};
use crate::convert::{check, same_names, time};
use crate::problem::Draft;
use hypermesh_model::{self as model, CertificateId, Subject};
use hypermesh_trustchain::{self as trust, NewRotationPolicy, RotationRequest};
use hypermesh_wire::trustchain::{
    self as wire, Authority, ChangeRotationPolicy, CreateRotationPolicy, ExecuteRotation, Rollover, Rotated,
    RotationPolicy, RotationRecord,
};

const DEFAULT_INTERVAL: u32 = 90;
const DEFAULT_WARNING: u32 = 7;
const DEFAULT_GRACE: u32 = 30;
/// Longest interval, days: the life of a root.
const MAX_INTERVAL: u32 = 3650;
/// Longest warning or overlap, days.
const MAX_OVERLAP: u32 = 365;

same_names!(rotation_type: wire::RotationType => model::RotationType { Automatic, Manual, Emergency });
same_names!(shown_type: model::RotationType => wire::RotationType { Automatic, Manual, Emergency });
same_names!(shown_status: model::RotationStatus => wire::RotationStatus { Overlap, Completed, Failed });
same_names!(shown_phase: model::RolloverPhase => wire::RolloverPhase {
    Prepared, Distributed, Activated, Retired, Abandoned
});
same_names!(shown_state: trust::AuthorityState => wire::AuthorityState {
    Prepared, Distributed, Active, Retiring, Retired
});

fn certificate(text: &str) -> Result<CertificateId, Draft> {
    check::id("certificate_id", text, CertificateId::parse)
}

fn days(member: &str, days: Option<u32>, min: u32, max: u32, otherwise: u32) -> Result<u32, Draft> {
    Ok(days.map(|days| check::range(member, days, min, max)).transpose()?.unwrap_or(otherwise))
}

/// A policy that is wanted.
pub(crate) fn new(body: CreateRotationPolicy) -> Result<NewRotationPolicy, Draft> {
    Ok(NewRotationPolicy {
        certificate_id: certificate(&body.certificate_id)?,
        rotation_type: body.rotation_type.map_or(model::RotationType::Automatic, rotation_type),
        interval_days: days("interval_days", body.interval_days, 1, MAX_INTERVAL, DEFAULT_INTERVAL)?,
        warning_days: days("warning_days", body.warning_days, 0, MAX_OVERLAP, DEFAULT_WARNING)?,
        grace_period_days: days("grace_period_days", body.grace_period_days, 0, MAX_OVERLAP, DEFAULT_GRACE)?,
        enabled: body.enabled.unwrap_or(true),
    })
}

/// What is changed of a policy; what is `None` stays.
pub(crate) struct Change {
    certificate_id: Option<CertificateId>,
    rotation_type: Option<model::RotationType>,
    interval_days: Option<u32>,
    warning_days: Option<u32>,
    grace_period_days: Option<u32>,
    enabled: Option<bool>,
}

/// A change, its form checked.
pub(crate) fn change(body: ChangeRotationPolicy) -> Result<Change, Draft> {
    let within = |member: &str, days: Option<u32>, min, max| {
        days.map(|days| check::range(member, days, min, max)).transpose()
    };
    Ok(Change {
        certificate_id: body.certificate_id.as_deref().map(certificate).transpose()?,
        rotation_type: body.rotation_type.map(rotation_type),
        interval_days: within("interval_days", body.interval_days, 1, MAX_INTERVAL)?,
        warning_days: within("warning_days", body.warning_days, 0, MAX_OVERLAP)?,
        grace_period_days: within("grace_period_days", body.grace_period_days, 0, MAX_OVERLAP)?,
        enabled: body.enabled,
    })
}

/// A policy as it is to be.
pub(crate) fn changed(current: model::RotationPolicy, change: Change) -> NewRotationPolicy {
    NewRotationPolicy {
        certificate_id: change.certificate_id.unwrap_or(current.certificate_id),
        rotation_type: change.rotation_type.unwrap_or(current.rotation_type),
        interval_days: change.interval_days.unwrap_or(current.interval_days),
        warning_days: change.warning_days.unwrap_or(current.warning_days),
        grace_period_days: change.grace_period_days.unwrap_or(current.grace_period_days),
        enabled: change.enabled.unwrap_or(current.enabled),
    }
}

/// A rotation that is asked for now.
pub(crate) fn request(body: ExecuteRotation, by: &Subject) -> Result<RotationRequest, Draft> {
    Ok(RotationRequest {
        certificate_id: certificate(&body.certificate_id)?,
        rotation_type: body.rotation_type.map_or(model::RotationType::Manual, rotation_type),
        key: csr(body.csr)?,
        by: by.0.clone(),
    })
}

/// A policy as a caller sees it.
pub(crate) fn policy(policy: model::RotationPolicy) -> RotationPolicy {
    RotationPolicy {
        id: policy.id.into(),
        certificate_id: policy.certificate_id.into(),
        rotation_type: shown_type(policy.rotation_type),
        interval_days: policy.interval_days,
        warning_days: policy.warning_days,
        grace_period_days: policy.grace_period_days,
        enabled: policy.enabled,
        last_rotation: policy.last_rotation.map(time),
        next_rotation: policy.next_rotation.map(time),
    }
}

/// What a rotation gave, as a caller sees it.
pub(crate) fn rotated(rotated: trust::Rotated) -> Rotated {
    Rotated {
        old_certificate: shown_certificate(rotated.old),
        new_certificate: issued(rotated.new),
        rotation_id: rotated.rotation.id.into(),
    }
}

/// A rotation on record as a caller sees it.
pub(crate) fn record(rotation: model::Rotation) -> RotationRecord {
    RotationRecord {
        id: rotation.id.into(),
        certificate_id: rotation.certificate_id.into(),
        rotation_type: shown_type(rotation.rotation_type),
        executed_at: time(rotation.executed_at),
        old_fingerprint: rotation.old_fingerprint,
        new_fingerprint: rotation.new_fingerprint,
        status: shown_status(rotation.status),
        new_certificate_id: rotation.new_certificate_id.map(Into::into),
        overlap_until: rotation.overlap_until.map(time),
        detail: rotation.detail,
    }
}

/// An authority as a caller sees it.
pub(crate) fn authority(view: trust::AuthorityView) -> Authority {
    Authority {
        certificate: shown_certificate(view.certificate),
        certificate_pem: view.certificate_pem,
        state: shown_state(view.state),
        key_present: view.key_present,
        crl_url: view.crl_url,
    }
}

/// A rollover as a caller sees it.
pub(crate) fn rollover(rollover: model::Rollover) -> Rollover {
    let phase = shown_phase(rollover.phase());
    let step = |step: model::RolloverStep| wire::RolloverStep {
        phase: shown_phase(step.phase),
        at: time(step.at),
        by: step.by,
    };
    Rollover {
        id: rollover.id.into(),
        from_certificate_id: rollover.from.into(),
        to_certificate_id: rollover.to.into(),
        phase,
        steps: rollover.steps.into_iter().map(step).collect(),
    }
}
