//! Going on after a restart: what each array had begun is in its records, and what became of it in the executions'.
//!
//! | record of the index | its execution | then |
//! |---|---|---|
//! | ended | | stays ended |
//! | begun | there | followed to its end, which may have been |
//! | begun | not there | begun, under the same id: the node died before it was |

use super::drive::{Begun, drive};
use super::live::Live;
use super::record::TaskRecord;
use crate::Mesh;
use hypermesh_model::ArrayId;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Mesh {
    /// Takes up the arrays that an earlier run of the node left; after the executions were.
    pub(crate) fn recover_arrays(&self) {
        let mut tasks: BTreeMap<ArrayId, Vec<TaskRecord>> = BTreeMap::new();
        for task in self.tables.array_tasks.all() {
            tasks.entry(task.array.clone()).or_default().push(task);
        }
        for array in self.tables.arrays.all() {
            let live = Arc::new(Live::new(&array));
            let begun = self.restore(&live, tasks.remove(&array.id).unwrap_or_default());
            self.arrays.enter(&live, usize::MAX);
            if !array.status.is_final() {
                tokio::spawn(drive(self.clone(), live, begun));
            }
        }
    }

    /// Puts what is on record into memory, and gives what had begun and not ended.
    fn restore(&self, live: &Live, mut tasks: Vec<TaskRecord>) -> Begun {
        tasks.sort_by_key(|task| task.end.as_ref().map_or(u32::MAX, |end| end.place));
        let mut begun = Begun::default();
        for task in tasks {
            if let Some(end) = &task.end {
                live.ended(&task, end);
            } else if self.execution(&task.execution).is_ok() {
                live.began(task.index);
                begun.running.insert(task.index, task.execution);
            } else {
                begun.recorded.insert(task.index, task.execution);
            }
        }
        begun
    }
}
