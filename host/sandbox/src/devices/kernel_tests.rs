//! Device programs on a real cgroup2 group: on a v2 machine, or beside the v1 controllers of a hybrid one. Needs root.

use super::program::{Held, Programs};
use super::rules::{Rule, Verdict, assemble};
use super::{bpf, can_load};
use crate::detect::detect;
use crate::kernel_fs::{KernelFolders, write};
use crate::setting::Mode;
use crate::tree::TOP;
use crate::v1::make_node;
use proptest::prelude::*;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NULL: u32 = 3;
const ZERO: u32 = 5;

/// A group of its own, removed at the end.
struct Group(PathBuf);

impl Group {
    /// `None`, visibly, where there is no cgroup2, no right to make a group in it, or none to load a program.
    fn make(test: &str) -> Option<Self> {
        let unified = detect(Path::new("/")).unwrap().unified;
        let made = || -> Result<Self, String> {
            let mount = unified.ok_or("no cgroup2 is mounted")?.mount;
            can_load()?;
            let name = format!("{test}-{}", std::process::id());
            let dir = make_node(&mount.join(TOP), &name, &KernelFolders, |_top| Ok(()));
            dir.map(Self).map_err(|error| error.reason())
        };
        match made() {
            Ok(group) => Some(group),
            Err(reason) => {
                let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
                None
            }
        }
    }

    fn settle(&self, programs: &Programs, rules: &[Rule], mode: Mode) -> Held {
        programs.settle(&self.0, rules, mode).unwrap()
    }

    fn may_open(&self, device: &str) -> bool {
        may_open(&self.0, device)
    }
}

/// Whether a process in the group may read a device; anything but that or EPERM fails the test.
fn may_open(group: &Path, device: &str) -> bool {
    let join = group.join("cgroup.procs");
    let script = format!("echo 0 > '{}' || exit 99; exec 3< {device}", join.display());
    let output = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), !said.contains("Operation not permitted"), "{said}");
    output.status.success()
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).unwrap();
        // Others may be using it.
        let _ = fs::remove_dir(self.0.parent().unwrap());
    }
}

fn deny(minor: u32) -> [Rule; 2] {
    let allowed = if minor == ZERO { NULL } else { ZERO };
    [
        Rule { verdict: Verdict::Allow, major: 1, minor: Some(allowed) },
        Rule { verdict: Verdict::Deny, major: 1, minor: Some(minor) },
    ]
}

#[test]
fn what_the_rules_deny_cannot_be_opened() {
    let Some(group) = Group::make("what_the_rules_deny_cannot_be_opened") else { return };
    assert!(group.may_open("/dev/zero"));
    let programs = Programs::default();
    let held = group.settle(&programs, &deny(ZERO), Mode::Write);
    eprintln!("{held:?}");
    assert!(held.is_asked);
    assert!(group.may_open("/dev/null") && !group.may_open("/dev/zero"));
    // Everything that no rule names, and groups below.
    assert!(group.may_open("/dev/urandom"));
    let below = group.0.join("below");
    fs::create_dir(&below).unwrap();
    assert!(may_open(&below, "/dev/null") && !may_open(&below, "/dev/zero"));
    fs::remove_dir(below).unwrap();
}

#[test]
fn it_is_attached_once_and_outlives_the_node() {
    let Some(group) = Group::make("it_is_attached_once_and_outlives_the_node") else { return };
    let first = Programs::default();
    assert!(group.settle(&first, &deny(ZERO), Mode::Check).programs.is_none());
    let attached = group.settle(&first, &deny(ZERO), Mode::Write);
    let again = group.settle(&first, &deny(ZERO), Mode::Write);
    assert_eq!((attached.programs.as_ref(), again.is_asked), (again.programs.as_ref(), true));
    drop(first);
    // A node that was started again has loaded nothing yet.
    let second = Programs::default();
    for mode in [Mode::Check, Mode::Write] {
        let found = group.settle(&second, &deny(ZERO), mode);
        assert_eq!((&found.programs, found.is_asked), (&attached.programs, true), "{mode:?}");
    }
    assert!(!group.may_open("/dev/zero"));
}

#[test]
fn other_rules_take_its_place() {
    let Some(group) = Group::make("other_rules_take_its_place") else { return };
    let programs = Programs::default();
    let old = group.settle(&programs, &deny(ZERO), Mode::Write);
    assert!(!group.settle(&programs, &deny(NULL), Mode::Check).is_asked, "looking changes nothing");
    assert!(!group.may_open("/dev/zero"));
    let new = group.settle(&programs, &deny(NULL), Mode::Write);
    assert!(new.is_asked && new.programs != old.programs);
    assert!(group.may_open("/dev/zero") && !group.may_open("/dev/null"));
}

#[test]
fn what_others_did_to_it_shows_and_is_put_right() {
    let Some(group) = Group::make("what_others_did_to_it_shows_and_is_put_right") else { return };
    let programs = Programs::default();
    let dir = File::open(&group.0).unwrap();
    // As an interrupted replacement leaves it: two of ours.
    let [one, two] = [deny(ZERO), deny(NULL)].map(|rules| bpf::load(&assemble(&rules)).unwrap());
    bpf::attach(dir.as_fd(), one.as_fd(), None).unwrap();
    bpf::attach(dir.as_fd(), two.as_fd(), None).unwrap();
    assert!(!group.settle(&programs, &deny(ZERO), Mode::Check).is_asked);
    assert!(group.settle(&programs, &deny(ZERO), Mode::Write).is_asked);
    assert_eq!(bpf::attached(dir.as_fd()).unwrap(), [bpf::describe(&one).unwrap().id]);
    // And without any.
    bpf::detach(dir.as_fd(), one.as_fd()).unwrap();
    let none = group.settle(&programs, &deny(ZERO), Mode::Check);
    assert!(none.programs.is_none() && !none.is_asked && group.may_open("/dev/zero"));
    assert!(group.settle(&programs, &deny(ZERO), Mode::Write).is_asked && !group.may_open("/dev/zero"));
}

#[test]
fn what_is_no_group_is_refused() {
    let Some(group) = Group::make("what_is_no_group_is_refused") else { return };
    let folder = tempfile::tempdir().unwrap();
    let programs = Programs::default();
    let refused = programs.settle(folder.path(), &deny(ZERO), Mode::Write).unwrap_err();
    assert!(refused.reason().contains("bpf(BPF_PROG_"), "{}", refused.reason());
    let gone = programs.settle(&folder.path().join("gone"), &deny(ZERO), Mode::Check).unwrap_err();
    assert!(gone.reason().contains("No such file"), "{}", gone.reason());
    assert!(write(&group.0.join("cgroup.procs"), "x").is_err());
}

#[test]
fn the_verifier_takes_the_program_of_any_list() {
    let test = "the_verifier_takes_the_program_of_any_list";
    if let Err(reason) = can_load() {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
        return;
    }
    let number = prop_oneof![0u32..300, any::<u32>()];
    let rule =
        (any::<bool>(), number.clone(), proptest::option::of(number)).prop_map(|(allow, major, minor)| {
            Rule { verdict: if allow { Verdict::Allow } else { Verdict::Deny }, major, minor }
        });
    let lists = proptest::collection::vec(rule, 0..200);
    proptest!(ProptestConfig::with_cases(32), |(rules in lists)| {
        bpf::load(&assemble(&rules)).unwrap();
    });
}
