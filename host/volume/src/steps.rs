//! The points between two effects on disk, so that a test can crash at each of them.
//!
//! A crash is a panic in the hook: it runs no cleanup of ours, and what the unwinding closes, the kernel closes after
//! `kill -9` too.

/// A point that was reached: the effect that it names is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The lease's folder exists, without a record.
    FolderMade,
    /// The intention is recorded.
    Intended,
    /// The image has a filesystem, under its temporary name.
    Formatted,
    /// Its blocks are reserved, it has its name.
    ImageNamed,
    /// A loop device is bound to the image.
    Bound,
    /// The image is mounted.
    Mounted,
    /// The folder has its project.
    ProjectSet,
    /// The quota is set.
    LimitSet,
    /// All is done but for the record.
    Made,
    /// The filesystem has grown, or the quota has changed.
    Resized,
    /// The filesystem is unmounted, to grow or to go.
    Unmounted,
    /// The bytes are gone; the record isn't.
    Wiped,
}

/// Called at each step.
#[derive(Default)]
pub(crate) struct Steps {
    #[cfg(test)]
    hook: Option<Box<dyn Fn(Step) + Send + Sync>>,
}

impl Steps {
    #[cfg(test)]
    pub(crate) fn with(hook: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self { hook: Some(Box::new(hook)) }
    }

    #[cfg(test)]
    pub(crate) fn reach(&self, step: Step) {
        if let Some(hook) = &self.hook {
            hook(step);
        }
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the hook exists in tests only")]
    pub(crate) fn reach(&self, _: Step) {}
}
