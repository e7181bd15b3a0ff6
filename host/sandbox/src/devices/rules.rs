//! A list of rules about character devices, and the BPF program that decides the same.
//!
//! The first rule that names a device decides; a device that none names is left as it was, and so is every block device.
//! Making, reading and writing a node are one thing here: nothing of a lease needs them apart. The program answers only
//! for its own group. The kernel asks those of the groups above too and denies what one of them denies
//! (`Documentation/admin-guide/cgroup-v2.rst`, "Device controller"), so a rule that allows gives no more than before.
//!
//! Pure: the tests run the program in an interpreter and compare it with what the list means, for any list and device.
//! Left to others: which rules ([`super::policy`]), and everything that talks to a kernel.

use std::fmt;

/// What a rule says about the devices that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    Allow,
    Deny,
}

/// Character devices of one major, and what is decided about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Rule {
    pub(crate) verdict: Verdict,
    pub(crate) major: u32,
    /// `None` names them all.
    pub(crate) minor: Option<u32>,
}

/// In the notation of the v1 controller (`Documentation/admin-guide/cgroup-v1/devices.rst`).
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Allow => "allow",
            Verdict::Deny => "deny",
        };
        write!(f, "{verdict} {}", exception(self.major, self.minor))
    }
}

/// A device as the v1 controller's files name it.
pub(crate) fn exception(major: u32, minor: Option<u32>) -> String {
    match minor {
        Some(minor) => format!("c {major}:{minor} rwm"),
        None => format!("c {major}:* rwm"),
    }
}

/// All rules, as a receipt shows them.
pub(crate) fn describe(rules: &[Rule]) -> String {
    rules.iter().map(Rule::to_string).collect::<Vec<_>>().join(", ")
}

/// One instruction (`Documentation/bpf/standardization/instruction-set.rst`, "Basic instruction encoding").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u8,
    /// Destination in the lower half, source in the upper: so on little-endian machines.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const _: () =
    assert!(cfg!(target_endian = "little"), "registers are the other way round on big-endian machines");

/// `dst = *(u32 *)(src + offset)`
const LOAD_WORD: u8 = 0x61;
/// `dst &= immediate`
const AND: u8 = 0x57;
/// `dst = immediate`, the upper half cleared
const MOVE_WORD: u8 = 0xb4;
/// `if dst == immediate goto +offset`
const JUMP_IF_IS: u8 = 0x15;
/// `if dst != src goto +offset`
const JUMP_UNLESS_EQUAL: u8 = 0x5d;
const EXIT: u8 = 0x95;

/// `access_type` of `struct bpf_cgroup_dev_ctx`: what is done in the upper half, the kind of device in the lower.
const KIND_MASK: i32 = 0xffff;
/// `BPF_DEVCG_DEV_CHAR`
const CHARACTER: i32 = 2;

const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const MAJOR: u8 = 3;
const MINOR: u8 = 4;

impl Instruction {
    const fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        Self { code, registers: source << 4 | destination, offset, immediate }
    }

    /// A word of the context.
    const fn load(destination: u8, offset: i16) -> Self {
        Self::new(LOAD_WORD, destination, CONTEXT, offset, 0)
    }

    const fn set(register: u8, value: u32) -> Self {
        Self::new(MOVE_WORD, register, 0, 0, value.cast_signed())
    }
}

/// The program of a list. It jumps over at most six instructions at a time, so no list is too long to write down; the
/// kernel takes a million instructions.
pub(crate) fn assemble(rules: &[Rule]) -> Vec<Instruction> {
    let answer = |allowed| [Instruction::set(ANSWER, allowed), Instruction::new(EXIT, 0, 0, 0, 0)];
    let mut program = vec![
        Instruction::load(KIND, 0),
        Instruction::new(AND, KIND, 0, 0, KIND_MASK),
        Instruction::new(JUMP_IF_IS, KIND, 0, 2, CHARACTER),
    ];
    program.extend(answer(1));
    program.extend([Instruction::load(MAJOR, 4), Instruction::load(MINOR, 8)]);
    for rule in rules {
        let allowed = match rule.verdict {
            Verdict::Allow => 1,
            Verdict::Deny => 0,
        };
        // Numbers are compared with a register: as an immediate they would be extended by their sign.
        program.push(Instruction::set(ANSWER, rule.major));
        match rule.minor {
            Some(minor) => program.extend([
                Instruction::new(JUMP_UNLESS_EQUAL, MAJOR, ANSWER, 4, 0),
                Instruction::set(ANSWER, minor),
                Instruction::new(JUMP_UNLESS_EQUAL, MINOR, ANSWER, 2, 0),
            ]),
            None => program.push(Instruction::new(JUMP_UNLESS_EQUAL, MAJOR, ANSWER, 2, 0)),
        }
        program.extend(answer(allowed));
    }
    program.extend(answer(1));
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a list means, said once more in the plainest way.
    fn allows(rules: &[Rule], kind: u16, major: u32, minor: u32) -> bool {
        let names = |rule: &&Rule| rule.major == major && rule.minor.is_none_or(|named| named == minor);
        kind != 2 || rules.iter().find(names).is_none_or(|rule| rule.verdict == Verdict::Allow)
    }

    /// The kernel's interpreter, as much of it as these programs use. `None`: the program did what the kernel's
    /// verifier would not have let it do.
    fn run(program: &[Instruction], context: [u32; 3]) -> Option<u64> {
        // The context's address is not a number that may be compared or returned.
        let mut registers: [Option<u64>; 11] = [None; 11];
        let mut at = 0;
        loop {
            let Instruction { code, registers: pair, offset, immediate } = *program.get(at)?;
            let (dst, src) = (usize::from(pair & 15), usize::from(pair >> 4));
            at += 1;
            let taken = match code {
                LOAD_WORD => {
                    assert_eq!((src, offset % 4), (usize::from(CONTEXT), 0));
                    let word = context.get(usize::try_from(offset / 4).ok()?)?;
                    registers[dst] = Some(u64::from(*word));
                    false
                }
                AND => {
                    registers[dst] = Some(registers[dst]? & i64::from(immediate).cast_unsigned());
                    false
                }
                MOVE_WORD => {
                    registers[dst] = Some(u64::from(immediate.cast_unsigned()));
                    false
                }
                JUMP_IF_IS => registers[dst]? == i64::from(immediate).cast_unsigned(),
                JUMP_UNLESS_EQUAL => registers[dst]? != registers[src]?,
                EXIT => return registers[0].filter(|answer| *answer <= 1),
                _ => return None,
            };
            if taken {
                // Only forwards: it ends.
                at += usize::try_from(offset).ok()?;
            }
        }
    }

    fn rules() -> impl Strategy<Value = Vec<Rule>> {
        // Few numbers, so that rules meet, and the extremes.
        let number =
            prop_oneof![0u32..4, Just(195), Just(255), Just(i32::MAX.cast_unsigned() + 1), Just(u32::MAX)];
        let verdict = prop_oneof![Just(Verdict::Allow), Just(Verdict::Deny)];
        let rule = (verdict, number.clone(), proptest::option::of(number));
        proptest::collection::vec(
            rule.prop_map(|(verdict, major, minor)| Rule { verdict, major, minor }),
            0..40,
        )
    }

    proptest! {
        #[test]
        fn the_program_decides_as_the_list_does(
            rules in rules(),
            kind in prop_oneof![Just(1u16), Just(2), any::<u16>()],
            access in prop_oneof![0u16..8, any::<u16>()],
            major in prop_oneof![0u32..4, Just(195), any::<u32>()],
            minor in prop_oneof![0u32..4, Just(255), any::<u32>()],
        ) {
            let context = [u32::from(access) << 16 | u32::from(kind), major, minor];
            let answer = run(&assemble(&rules), context);
            prop_assert_eq!(answer, Some(u64::from(allows(&rules, kind, major, minor))));
        }

        #[test]
        fn it_decides_so_about_every_device_that_a_rule_names(rules in rules()) {
            let program = assemble(&rules);
            for (rule, access) in rules.iter().flat_map(|rule| (1..8).map(move |access| (rule, access))) {
                let minor = rule.minor.unwrap_or(17);
                let answer = run(&program, [access << 16 | 2, rule.major, minor]);
                prop_assert_eq!(answer, Some(u64::from(allows(&rules, 2, rule.major, minor))));
            }
        }
    }

    #[test]
    fn rules_read_like_those_of_v1() {
        let rules = [
            Rule { verdict: Verdict::Allow, major: 195, minor: Some(255) },
            Rule { verdict: Verdict::Deny, major: 195, minor: None },
        ];
        assert_eq!(describe(&rules), "allow c 195:255 rwm, deny c 195:* rwm");
        assert_eq!(size_of::<Instruction>(), 8);
        let program = assemble(&rules);
        assert_eq!(program.len(), 7 + 6 + 4 + 2);
    }
}
