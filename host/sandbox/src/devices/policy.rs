//! Which device nodes of NVIDIA a lease may open: those of its GPUs and no others. Nodes that are not NVIDIA's are not
//! touched.
//!
//! | node | major | who |
//! |---|---|---|
//! | `/dev/nvidiaN` | 195, minor N | whose GPU, or instance of it, N is |
//! | `/dev/nvidiactl` | 195:255 | who has any GPU |
//! | `/dev/nvidia-modeset` | 195:254 | who has a whole GPU: instances draw nothing |
//! | `/dev/nvidia-uvm`, `/dev/nvidia-uvm-tools` | dynamic, 0 and 1 | who has any GPU |
//! | `/dev/nvidia-caps/nvidia-capM` | dynamic | whose GPU or compute instance M stands for |
//! | switches, links, IMEX channels | dynamic | nobody |
//!
//! Dynamic majors are in `/proc/devices`; an instance's minor is in its access file below
//! `/proc/driver/nvidia/capabilities` (NVIDIA, "MIG User Guide", Device Nodes and Capabilities). A driver module that
//! is loaded later brings a new major: the policy then differs from what the kernel holds, which the next reading back
//! shows. To the driver, CAP_SYS_ADMIN stands for every capability node: between instances of one GPU the filter binds
//! processes without it, as workers are; between GPUs it binds everybody.
//!
//! What can't be found is named in [`Policy::unresolved`]: it is not granted, and the receipt says why.

use super::rules::{Rule, Verdict};
use crate::{GpuAccess, MigAccess, kernel_fs};
use std::collections::BTreeSet;
use std::path::Path;

/// NVIDIA's own character device major (`Documentation/admin-guide/devices.txt`).
pub(crate) const NVIDIA: u32 = 195;
const MODESET: u32 = 254;
const CONTROL: u32 = 255;
/// `nvidia-uvm` and `nvidia-uvm-tools`.
const UVM_MINORS: [u32; 2] = [0, 1];
/// Minors of major 195; the driver gives GPUs numbers below 248 (`nv-chardev-numbers.h`).
const NVIDIA_MINORS: std::ops::RangeInclusive<u32> = 0..=255;

/// A character device: major and minor.
pub(crate) type Device = (u32, u32);
/// Character devices that v1 denies: major, and minor or all.
pub(crate) type Denial = (u32, Option<u32>);

/// What one lease may open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    granted: BTreeSet<Device>,
    /// All majors that are NVIDIA's here.
    majors: BTreeSet<u32>,
    /// That of `nvidia-caps`.
    capabilities: Option<u32>,
    /// The GPUs of which only instances are granted.
    shared: BTreeSet<u32>,
    /// What was asked and is not granted, for people.
    pub(crate) unresolved: Vec<String>,
}

impl Policy {
    /// Reads what the driver says below the root. Never fails.
    pub(crate) fn of(system_root: &Path, access: &GpuAccess) -> Self {
        let mut policy = Self { majors: BTreeSet::from([NVIDIA]), ..Self::default() };
        let devices = kernel_fs::read(&system_root.join("proc/devices"));
        let text = devices.as_deref().unwrap_or_else(|error| {
            policy.unresolved.push(error.reason());
            ""
        });
        let named = character_majors(text);
        let major = |name: &str| named.iter().find(|(have, _)| have == name).map(|(_, major)| *major);
        policy.majors.extend(named.iter().map(|(_, major)| *major));
        policy.capabilities = major("nvidia-caps");
        if access.is_empty() {
            return policy;
        }
        policy.granted.insert((NVIDIA, CONTROL));
        policy.granted.extend(access.minors.iter().map(|minor| (NVIDIA, *minor)));
        if !access.minors.is_empty() {
            policy.granted.insert((NVIDIA, MODESET));
        }
        // Without the module there is no node to open, and no major to close.
        if let Some(uvm) = major("nvidia-uvm") {
            policy.granted.extend(UVM_MINORS.map(|minor| (uvm, minor)));
        }
        for instance in &access.instances {
            policy.granted.insert((NVIDIA, instance.minor));
            policy.shared.insert(instance.minor);
            match policy.capabilities {
                Some(major) => match capability_minors(system_root, instance) {
                    Ok(minors) => policy.granted.extend(minors.into_iter().map(|minor| (major, minor))),
                    Err(reason) => policy.unresolved.push(reason),
                },
                None => policy.unresolved.push("/proc/devices has no nvidia-caps".to_owned()),
            }
        }
        policy
    }

    /// For a BPF program: what is granted, then everything of NVIDIA's closed.
    pub(crate) fn rules(&self) -> Vec<Rule> {
        let allow =
            |(major, minor): &Device| Rule { verdict: Verdict::Allow, major: *major, minor: Some(*minor) };
        let deny = |major: &u32| Rule { verdict: Verdict::Deny, major: *major, minor: None };
        self.granted.iter().map(allow).chain(self.majors.iter().map(deny)).collect()
    }

    /// What is granted.
    pub(crate) fn granted(&self) -> impl Iterator<Item = Device> + '_ {
        self.granted.iter().copied()
    }

    /// For v1, which has no order of rules: as long as a group may open everything else, its list holds denials only, and
    /// those of whole majors can't be pierced. So where a minor of a major is granted, the others are denied one by one.
    ///
    /// Of the capability nodes these are the driver's own and those of the GPUs of which the lease has instances: without
    /// its GPU's node an instance can't be used. `mig_minors` is the driver's list of them.
    pub(crate) fn denials(&self, mig_minors: &[(String, u32)]) -> Vec<Denial> {
        let mut denials = Vec::new();
        for major in &self.majors {
            if !self.granted.iter().any(|(granted, _)| granted == major) {
                denials.push((*major, None));
            } else if *major == NVIDIA {
                denials.extend(NVIDIA_MINORS.map(|minor| (*major, Some(minor))));
            } else if Some(*major) == self.capabilities {
                let of_shared =
                    |name: &str| self.shared.iter().any(|gpu| name.starts_with(&format!("gpu{gpu}/")));
                let near = mig_minors.iter().filter(|(name, _)| !name.starts_with("gpu") || of_shared(name));
                denials.extend(near.map(|(_, minor)| (*major, Some(*minor))));
            }
        }
        let granted =
            |(major, minor): &Denial| minor.is_some_and(|minor| self.granted.contains(&(*major, minor)));
        denials.retain(|denial| !granted(denial));
        denials
    }

    /// Whether v1 needs the driver's list.
    pub(crate) fn has_instances(&self) -> bool {
        !self.shared.is_empty()
    }
}

/// Names and majors of NVIDIA's character devices in `/proc/devices`.
fn character_majors(text: &str) -> Vec<(String, u32)> {
    let characters = text.lines().take_while(|line| !line.starts_with("Block devices"));
    let parse = |line: &str| {
        let (major, name) = line.trim().split_once(' ')?;
        Some((name.trim().to_owned(), major.parse().ok()?))
    };
    characters.filter_map(parse).filter(|(name, _)| name.starts_with("nvidia")).collect()
}

/// The minors of an instance's capabilities: that of its GPU instance, and that of its compute instance or of all.
fn capability_minors(system_root: &Path, instance: &MigAccess) -> Result<Vec<u32>, String> {
    let gpu = system_root.join(format!("proc/driver/nvidia/capabilities/gpu{}/mig", instance.minor));
    let folder = gpu.join(format!("gi{}", instance.gpu_instance));
    let mut minors = vec![access_minor(&folder)?];
    match instance.compute_instance {
        Some(compute) => minors.push(access_minor(&folder.join(format!("ci{compute}")))?),
        None => {
            for child in kernel_fs::children(&folder).map_err(|error| error.reason())? {
                minors.push(access_minor(&child)?);
            }
        }
    }
    Ok(minors)
}

fn access_minor(folder: &Path) -> Result<u32, String> {
    let file = folder.join("access");
    let text = kernel_fs::read(&file).map_err(|error| error.reason())?;
    let minor = text.lines().find_map(|line| line.strip_prefix("DeviceFileMinor:")?.trim().parse().ok());
    minor.ok_or_else(|| format!("{} names no DeviceFileMinor", file.display()))
}

/// The driver's list of capability nodes: `config 1`, `gpu0/gi1/access 12`, `gpu0/gi1/ci0/access 13`.
pub(crate) fn mig_minors(system_root: &Path) -> Result<Vec<(String, u32)>, String> {
    let text = kernel_fs::read(&system_root.join("proc/driver/nvidia-caps/mig-minors"))
        .map_err(|error| error.reason())?;
    let parse = |line: &str| {
        let (name, minor) = line.trim().rsplit_once(' ')?;
        Some((name.trim().to_owned(), minor.parse().ok()?))
    };
    Ok(text.lines().filter_map(parse).collect())
}

#[cfg(test)]
mod tests {
    use super::super::rules::describe;
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    /// GPU 0 with an instance 1 of two compute instances and an instance 2; GPU 1 whole.
    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "proc/devices",
            "Character devices:\n  1 mem\n195 nvidia\n195 nvidiactl\n234 nvidia-caps\n236 nvidia-nvswitch\n\
             509 nvidia-uvm\n\nBlock devices:\n259 nvidia-not-a-character-device\n",
        );
        let access =
            |minor: u32| format!("DeviceFileMinor: {minor}\nDeviceFileMode: 256\nDeviceFileModify: 1\n");
        for (path, minor) in [("gi1", 12), ("gi1/ci0", 13), ("gi1/ci1", 14), ("gi2", 21), ("gi2/ci0", 22)] {
            write(&format!("proc/driver/nvidia/capabilities/gpu0/mig/{path}/access"), &access(minor));
        }
        write(
            "proc/driver/nvidia-caps/mig-minors",
            "config 1\nmonitor 2\ngpu0/gi1/access 12\ngpu0/gi1/ci0/access 13\ngpu0/gi1/ci1/access 14\n\
             gpu0/gi2/access 21\ngpu0/gi2/ci0/access 22\ngpu1/gi1/access 147\ngpu10/gi1/access 1362\n",
        );
        root
    }

    fn instance(gpu_instance: u32, compute_instance: Option<u32>) -> GpuAccess {
        let instances = vec![MigAccess { minor: 0, gpu_instance, compute_instance }];
        GpuAccess { minors: Vec::new(), instances }
    }

    #[test]
    fn without_a_gpu_everything_of_nvidia_is_closed() {
        let root = machine();
        let policy = Policy::of(root.path(), &GpuAccess::default());
        assert_eq!(
            describe(&policy.rules()),
            "deny c 195:* rwm, deny c 234:* rwm, deny c 236:* rwm, deny c 509:* rwm"
        );
        assert_eq!(policy.denials(&[]), [(195, None), (234, None), (236, None), (509, None)]);
        assert_eq!(policy.unresolved, [] as [&str; 0]);
    }

    #[test]
    fn a_whole_gpu_comes_with_the_nodes_that_drive_it() {
        let root = machine();
        let policy = Policy::of(root.path(), &GpuAccess::whole([1]));
        let granted: Vec<_> = policy.granted().collect();
        assert_eq!(granted, [(195, 1), (195, 254), (195, 255), (509, 0), (509, 1)]);
        let denials = policy.denials(&mig_minors(root.path()).unwrap());
        assert!(denials.contains(&(195, Some(0))) && denials.contains(&(195, Some(253))));
        assert!(denials.contains(&(234, None)) && denials.contains(&(236, None)));
        assert_eq!(denials.len(), 253 + 2);
    }

    #[test]
    fn an_instance_comes_with_its_capabilities_and_no_other() {
        let root = machine();
        let policy = Policy::of(root.path(), &instance(1, Some(0)));
        let granted: Vec<_> = policy.granted().collect();
        assert_eq!(granted, [(195, 0), (195, 255), (234, 12), (234, 13), (509, 0), (509, 1)]);
        let denials = policy.denials(&mig_minors(root.path()).unwrap());
        let capabilities: Vec<_> = denials.iter().filter(|(major, _)| *major == 234).collect();
        let minors: Vec<_> = capabilities.iter().map(|(_, minor)| minor.unwrap()).collect();
        assert_eq!(minors, [1, 2, 14, 21, 22], "GPU 1 and 10 are closed themselves");
        let both = Policy::of(root.path(), &instance(1, None));
        assert!(both.granted().any(|device| device == (234, 14)), "all compute instances");
    }

    #[test]
    fn what_cannot_be_found_is_not_granted_and_is_said() {
        let root = machine();
        let gone = Policy::of(root.path(), &instance(7, Some(0)));
        assert!(gone.unresolved[0].contains("gi7/access"), "{:?}", gone.unresolved);
        assert!(gone.granted().all(|(major, _)| major != 234));
        fs::write(root.path().join("proc/devices"), "Character devices:\n195 nvidia-frontend\n").unwrap();
        let old = Policy::of(root.path(), &instance(1, Some(0)));
        assert_eq!(old.unresolved, ["/proc/devices has no nvidia-caps"]);
        fs::remove_file(root.path().join("proc/devices")).unwrap();
        let blind = Policy::of(root.path(), &GpuAccess::default());
        assert!(blind.unresolved[0].contains("proc/devices"), "{:?}", blind.unresolved);
        assert_eq!(describe(&blind.rules()), "deny c 195:* rwm", "what is known is closed all the same");
    }

    proptest! {
        /// Both ways of writing it down close and open the same.
        #[test]
        fn v1_and_bpf_agree(whole in proptest::collection::vec(0u32..4, 0..3), compute in 0u32..3, mig in any::<bool>()) {
            let root = machine();
            let mut access = GpuAccess::whole(whole);
            if mig {
                access.instances = instance(1, (compute < 2).then_some(compute)).instances;
            }
            let policy = Policy::of(root.path(), &access);
            let listed = mig_minors(root.path()).unwrap();
            let denials = policy.denials(&listed);
            let near: Vec<Device> = [195].iter().flat_map(|major| (0..=255).map(|minor| (*major, minor)))
                .chain([12, 13, 14, 21, 22, 1, 2].map(|minor| (234, minor)))
                .chain([(236, 0), (509, 0), (509, 1), (1, 3)])
                .collect();
            for (major, minor) in near {
                let by_v1 = !denials.iter().any(|(m, n)| *m == major && n.is_none_or(|n| n == minor));
                let first = policy.rules().into_iter().find(|r| r.major == major && r.minor.is_none_or(|m| m == minor));
                let by_bpf = first.is_none_or(|rule| rule.verdict == Verdict::Allow);
                prop_assert_eq!(by_v1, by_bpf, "{}:{}", major, minor);
            }
        }
    }
}
