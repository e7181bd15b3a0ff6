//! Arrays: asking for one, and how one and its indexes look.

use super::{check, executions, same_names, schedules, time};
use crate::problem::{Draft, Kind};
use hypermesh_mesh::{self as mesh, ArrayView, ItemPage, MAX_ARRAY_SIZE, MAX_PARALLELISM, NewArray};
use hypermesh_model::{self as model, ArrayId, Items};
use hypermesh_wire::MAX_NAME;
use hypermesh_wire::arrays::{
    self as wire, ArrayCounts, ArrayItem, ArrayItems, ArrayRange, CreateArray, VmArray,
};

/// Highest number of a range: exact in every language, and an `i64`.
const MAX_NUMBER: u64 = 1_000_000_000_000;

same_names!(shown_status: model::ArrayStatus => wire::ArrayStatus { Running, Completed, Failed, Cancelled });
same_names!(shown_item_status: mesh::ItemStatus => wire::ArrayItemStatus {
    Waiting, Running, Completed, Failed, Cancelled
});
same_names!(
    /// The order of a list.
    order: wire::ArrayOrder => mesh::Order { Index, Ended }
);

/// An array to begin.
pub(crate) fn new(body: CreateArray) -> Result<NewArray, Draft> {
    let request = schedules::request(body.execution)?;
    let list = body.items.map(|items| {
        check::range("items", items.len(), 1, MAX_ARRAY_SIZE as usize).map(|_| Items::List { items })
    });
    let matrix = body.matrix.map(|values| Ok(Items::Matrix { values }));
    let range = body.range.map(range);
    let parallelism =
        body.parallelism.map(|number| check::range("parallelism", number, 1, MAX_PARALLELISM)).transpose()?;
    let max_failures = body
        .max_failures
        .map(|number| check::range("max_failures", number, 1, MAX_ARRAY_SIZE))
        .transpose()?;
    let given = [list, matrix, range].into_iter().flatten().collect::<Result<Vec<Items>, Draft>>()?;
    // Last: what is wrong in itself is told first.
    let [items] = <[Items; 1]>::try_from(given).map_err(|_| {
        let detail = "an array needs one of `items`, `matrix` and `range`, and not two of them";
        Draft::new(Kind::Unprocessable, detail).about("items")
    })?;
    Ok(NewArray { request, items, parallelism, max_failures })
}

fn range(given: ArrayRange) -> Result<Items, Draft> {
    let number = |member: &str, number: u64, min: u64| {
        let number = check::range(member, number, min, MAX_NUMBER)?;
        i64::try_from(number).map_err(|_| Draft::invalid(member, "too large"))
    };
    Ok(Items::Range {
        name: check::text("range.name", given.name, 1, MAX_NAME)?,
        first: number("range.first", given.first, 0)?,
        last: number("range.last", given.last, 0)?,
        step: check::range("range.step", given.step, 1, MAX_NUMBER)?,
    })
}

/// An array as a caller sees it.
pub(crate) fn shown(view: ArrayView) -> VmArray {
    let ArrayView { array, counts } = view;
    VmArray {
        id: array.id.into(),
        requester_id: array.requester.0,
        vm_asset_id: array.template.vm_asset_id.into(),
        operation: array.template.operation,
        size: array.size,
        parallelism: array.parallelism,
        max_failures: array.max_failures,
        status: shown_status(array.status),
        counts: ArrayCounts {
            waiting: counts.waiting,
            running: counts.running,
            completed: counts.completed,
            failed: counts.failed,
            cancelled: counts.cancelled,
        },
        // A size is at least 1.
        progress: f64::from(counts.ended()) / f64::from(array.size.max(1)),
        reason: array.reason,
        cancelled_by: array.cancelled_by.map(|by| by.0),
        created_at: time(array.created_at),
        ended_at: array.ended_at.map(time),
    }
}

/// Indexes as a caller sees them.
pub(crate) fn items(id: ArrayId, page: ItemPage) -> ArrayItems {
    let item = |item: mesh::ArrayItem| ArrayItem {
        index: item.index,
        parameters: item.parameters,
        status: shown_item_status(item.status),
        execution_id: item.execution.map(Into::into),
        output: item.output,
        output_bytes: item.output_bytes,
        cause: item.cause.as_ref().map(executions::shown_cause),
    };
    ArrayItems {
        array_id: id.into(),
        items: page.items.into_iter().map(item).collect(),
        next: page.next,
        complete: page.complete,
    }
}
