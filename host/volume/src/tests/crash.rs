//! A node that ends at every step of every change, and starts again.
//!
//! The crash is a panic at the step: no cleanup of ours runs, and what unwinding closes, the kernel closes after `kill -9`.
//! What a start makes of it is the same for both methods.

use super::{Ground, held, lease, quota};
use crate::steps::{Step, Steps};
use crate::{Removal, VolumeState, Volumes};
use hypermesh_model::{Bytes, EnforcementState};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

const SIZE: Bytes = Bytes::mib(8);
const LARGER: Bytes = Bytes::mib(12);
const IMAGE_STEPS: [Step; 7] = [
    Step::FolderMade,
    Step::Intended,
    Step::Formatted,
    Step::ImageNamed,
    Step::Bound,
    Step::Mounted,
    Step::Made,
];
const QUOTA_STEPS: [Step; 5] =
    [Step::FolderMade, Step::Intended, Step::LimitSet, Step::ProjectSet, Step::Made];

/// Runs what ends at a step; whether it did.
fn crashes(ground: &Ground, step: Step, action: impl FnOnce(&Volumes)) -> bool {
    let steps = Steps::with(move |reached| {
        if reached == step {
            // Without the hook's message: the crash is meant.
            std::panic::resume_unwind(Box::new(step));
        }
    });
    let volumes = ground.open_with(steps);
    catch_unwind(AssertUnwindSafe(|| action(&volumes))).is_err()
}

/// Every ground that this machine offers, with the steps that making takes there.
fn grounds(test: &str) -> Vec<(Ground, Vec<Step>)> {
    let images = Ground::for_images(test).map(|ground| (ground, IMAGE_STEPS.to_vec()));
    let quotas = quota::grounds(test).into_iter().map(|ground| (ground, QUOTA_STEPS.to_vec()));
    images.into_iter().chain(quotas).collect()
}

#[test]
fn a_crash_while_making_leaves_nothing_after_the_next_start() {
    for (ground, steps) in grounds("a_crash_while_making_leaves_nothing_after_the_next_start") {
        for step in steps {
            let crashed = crashes(&ground, step, |volumes| drop(volumes.create(&lease("a"), SIZE, None)));
            assert!(crashed, "{step:?} is reached");
            let volumes = ground.open();
            assert!(volumes.list().unwrap().is_empty(), "{step:?}");
            ground.assert_clean();
            let volume = volumes.create(&lease("a"), SIZE, None).unwrap();
            assert_eq!(volume.receipt.state, EnforcementState::Enforced, "{step:?}");
            assert_eq!(volumes.remove(&lease("a")).unwrap(), Removal::Done);
        }
    }
}

#[test]
fn a_crash_while_resizing_is_finished_by_the_next_start() {
    for (ground, _) in grounds("a_crash_while_resizing_is_finished_by_the_next_start") {
        for step in [Step::Intended, Step::Unmounted, Step::Resized] {
            let volume = ground.open().create(&lease("a"), SIZE, None).unwrap();
            fs::write(volume.path.join("file"), "kept").unwrap();
            if !crashes(&ground, step, |volumes| drop(volumes.resize(&lease("a"), LARGER))) {
                assert_eq!(step, Step::Unmounted, "only growing without CAP_SYS_RESOURCE unmounts");
            }
            let volumes = ground.open();
            let found = volumes.list().unwrap().remove(0);
            assert_eq!((found.state, found.size), (VolumeState::Ready, LARGER), "{step:?}");
            assert!(held(&found) <= LARGER.0 && held(&found) * 100 >= LARGER.0 * 95, "{step:?}");
            assert_eq!(fs::read_to_string(volume.path.join("file")).unwrap(), "kept", "{step:?}");
            assert_eq!(volumes.remove(&lease("a")).unwrap(), Removal::Done);
            ground.assert_clean();
        }
    }
}

#[test]
fn a_crash_while_removing_is_finished_by_the_next_start() {
    for (ground, _) in grounds("a_crash_while_removing_is_finished_by_the_next_start") {
        for step in [Step::Intended, Step::Unmounted, Step::Wiped] {
            let volume = ground.open().create(&lease("a"), SIZE, None).unwrap();
            fs::create_dir_all(volume.path.join("a/b/c")).unwrap();
            if !crashes(&ground, step, |volumes| drop(volumes.remove(&lease("a")))) {
                assert_eq!(step, Step::Unmounted, "a quota's folder isn't mounted");
            }
            let volumes = ground.open();
            assert!(volumes.list().unwrap().is_empty(), "{step:?}");
            ground.assert_clean();
        }
    }
}

#[test]
fn a_record_of_another_hand_is_left_alone_and_keeps_nobody_from_starting() {
    let test = "a_record_of_another_hand_is_left_alone_and_keeps_nobody_from_starting";
    let Some(ground) = Ground::for_images(test) else { return };
    drop(ground.open());
    let strange = ground.path().join("strange");
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("volume.json"), "{\"format\":7}").unwrap();
    let volumes = ground.open();
    volumes.create(&lease("a"), SIZE, None).unwrap();
    assert_eq!(volumes.list().unwrap().len(), 1);
    assert!(volumes.remove(&lease("strange")).is_err() && strange.join("volume.json").exists());
    assert_eq!(volumes.remove(&lease("a")).unwrap(), Removal::Done);
}
