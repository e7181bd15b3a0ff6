//! Notations of texts in requests that stand in several places, each as one schema: sizes and ids of GPUs.
//!
//! A size (`256MiB`, `1.5 GB`, `4096 B`) is a number without superfluous zeros, perhaps a space, a unit. The number of
//! digits bounds it, so that every such text is a number of bytes from 1 to below 2^53.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The pattern of a size.
pub const SIZE_PATTERN: &str = r"^([1-9][0-9]{0,14} ?B|(0\.[0-9]{0,2}[1-9]|[1-9][0-9]{0,5}(\.[0-9]{1,3})?) ?(k|M|G|Ki|Mi|Gi)B|(0\.[0-9]{0,2}[1-9]|[1-9][0-9]{0,2}(\.[0-9]{1,3})?) ?(T|Ti)B)$";

/// Stands for a size in the document; the value itself is a text.
pub(crate) struct Size;

impl PartialSchema for Size {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(SIZE_PATTERN));
        text.description(Some("A size, e.g. `256MiB` or `1.5 GB`.")).into()
    }
}

impl ToSchema for Size {}

/// The pattern of the UUID of a GPU or MIG instance as the driver writes it; older drivers name an instance
/// `MIG-GPU-<uuid>/<gpu instance>/<compute instance>`.
pub const GPU_PATTERN: &str = "^(GPU|MIG)-[0-9A-Za-z/-]{1,120}$";

/// Stands for the UUID of a GPU in the document; the value itself is a text.
pub(crate) struct GpuId;

impl PartialSchema for GpuId {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(GPU_PATTERN));
        text.description(Some("The UUID of a GPU or MIG instance.")).into()
    }
}

impl ToSchema for GpuId {}
