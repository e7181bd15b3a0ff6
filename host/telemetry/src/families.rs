//! Metric families that are made at each scrape from the last snapshot of something: a table of names, and one row of
//! labels and values a thing.
//!
//! A registry's own families keep every label set that they ever saw, and know no absent value. Here a thing that is
//! gone from the snapshot is gone from the text, and a value that is unknown has no sample.
//!
//! OpenMetrics 1.0 (§ Counter) wants every counter to end in `_total`. Some of the names that boards know don't, e.g.
//! `container_memory_failcnt`. Boards look for the name, and Prometheus computes rates of any type, so those keep their
//! name and have the type `unknown`, whose samples carry no suffix (§ Unknown).

use hypermesh_model::Bytes;
use prometheus_client::encoding::{
    CounterValueEncoder, DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet,
    GaugeValueEncoder, LabelSetEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use std::fmt;
use std::time::Duration;

/// Labels that a metric has beside those of its sample.
type Extra = &'static [(&'static str, &'static str)];

/// A measured number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(bytes.0)
    }
}

/// In seconds, the base unit of time in OpenMetrics.
impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        Self::Real(duration.as_secs_f64())
    }
}

impl Value {
    /// A quotient of zero is a value that is not known.
    fn is_known(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Real(value) => value.is_finite(),
        }
    }
}

impl EncodeGaugeValue for Value {
    fn encode(&self, encoder: &mut GaugeValueEncoder) -> fmt::Result {
        match self {
            Self::Whole(value) => EncodeGaugeValue::encode(value, encoder),
            Self::Real(value) => EncodeGaugeValue::encode(value, encoder),
        }
    }
}

impl EncodeCounterValue for Value {
    fn encode(&self, encoder: &mut CounterValueEncoder) -> fmt::Result {
        match self {
            Self::Whole(value) => EncodeCounterValue::encode(value, encoder),
            Self::Real(value) => EncodeCounterValue::encode(value, encoder),
        }
    }
}

/// A value that may be unknown.
pub(crate) fn some(value: Option<impl Into<Value>>) -> Option<Value> {
    value.map(Into::into)
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// One metric of a table: its name as it stands in the text, and where its value is found in a sample.
#[derive(Debug)]
pub(crate) struct Metric<S> {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    extra: Extra,
    value: fn(&S) -> Option<Value>,
}

impl<S: EncodeLabelSet> Metric<S> {
    pub(crate) const fn counter(
        name: &'static str,
        help: &'static str,
        value: fn(&S) -> Option<Value>,
    ) -> Self {
        Self { name, help, kind: Kind::Counter, extra: &[], value }
    }

    pub(crate) const fn gauge(
        name: &'static str,
        help: &'static str,
        value: fn(&S) -> Option<Value>,
    ) -> Self {
        Self { name, help, kind: Kind::Gauge, extra: &[], value }
    }

    pub(crate) const fn with(self, extra: Extra) -> Self {
        Self { extra, ..self }
    }

    /// The family's name and type: the encoder adds a counter's `_total` itself.
    fn family(&self) -> (&'static str, MetricType) {
        match self.kind {
            Kind::Gauge => (self.name, MetricType::Gauge),
            Kind::Counter => match self.name.strip_suffix("_total") {
                Some(family) => (family, MetricType::Counter),
                None => (self.name, MetricType::Unknown),
            },
        }
    }

    /// Writes the family; nothing at all when no sample knows its value. Two samples must not have the same labels.
    pub(crate) fn encode<'s>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        samples: impl IntoIterator<Item = &'s S>,
    ) -> fmt::Result
    where
        S: 's,
    {
        let known = |sample: &'s S| Some((sample, (self.value)(sample).filter(Value::is_known)?));
        let mut rows = samples.into_iter().filter_map(known).peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let (name, kind) = self.family();
        let mut family = encoder.encode_descriptor(name, self.help, None, kind)?;
        rows.try_for_each(|(sample, value)| {
            let labels = Labels { sample, extra: self.extra };
            let mut row = family.encode_family(&labels)?;
            match kind {
                MetricType::Counter => row.encode_counter::<NoLabelSet, Value, f64>(&value, None),
                // What an unknown's sample looks like is what a gauge's looks like.
                MetricType::Gauge | MetricType::Unknown | MetricType::Histogram | MetricType::Info => {
                    row.encode_gauge(&value)
                }
            }
        })
    }
}

struct Labels<'s, S> {
    sample: &'s S,
    extra: Extra,
}

impl<S: EncodeLabelSet> EncodeLabelSet for Labels<'_, S> {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        self.sample.encode(encoder)?;
        self.extra.encode(encoder)
    }
}
