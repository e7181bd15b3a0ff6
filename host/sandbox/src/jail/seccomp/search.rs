//! A list of allowed calls as a binary search.
//!
//! seccompiler compares one number after the other. That costs nothing at a call, for which the kernel keeps a bitmap, but
//! when a program is installed the kernel runs it for each of some 900 calls to fill the bitmap: 0.18 ms with a comparison
//! a call, for every worker. Here it finds its way with about seven comparisons. The conditions on arguments, and the check
//! of the architecture, are still seccompiler's.
//!
//! Instructions are those of classic BPF (`include/uapi/linux/bpf_common.h`); a conditional jump reaches over 255 others.

use super::Rules;
use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch, sock_filter};

const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

/// What is done with a range of numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaf {
    Kill,
    Allow,
    /// The rules of this number decide.
    Rules(i64),
}

/// The program that allows what the rules allow, and kills for the rest.
pub(super) fn program(rules: Rules) -> Result<BpfProgram, BackendError> {
    let target: TargetArch = std::env::consts::ARCH.try_into()?;
    // Without rules it is the check of the architecture, and the answer.
    let (kill, allow) = (SeccompAction::KillProcess, SeccompAction::Allow);
    let mut program: BpfProgram =
        SeccompFilter::new(Rules::new(), kill.clone(), allow.clone(), target)?.try_into()?;
    program.pop();
    // `seccomp_data.nr` is at 0.
    program.push(instruction(LOAD, 0, 0));
    let mut conditional = Vec::new();
    let begin = program.len();
    let tree = search(&ranges(&rules), &mut conditional)?;
    program.extend(tree);
    let rule_ends = instruction(RETURN, 0, kill.clone().into());
    for (at, number) in conditional {
        let here = program.len();
        // Jumps count from the next instruction.
        program[begin + at].k = u32::try_from(here - (begin + at + 1)).unwrap_or(u32::MAX);
        for rule in rules.get(&number).into_iter().flatten() {
            program.extend(BpfProgram::from(rule.clone()));
            program.push(instruction(RETURN, 0, allow.clone().into()));
        }
        program.push(rule_ends.clone());
    }
    // A rule has a jump over what follows it, for seccompiler's own chains. Nothing comes to it here, but it has to lead
    // somewhere.
    program.push(rule_ends);
    Ok(program)
}

/// Where each range begins, and what it is; the first begins at 0, and no two in a row are the same.
fn ranges(rules: &Rules) -> Vec<(u32, Leaf)> {
    let mut ranges: Vec<(u32, Leaf)> = vec![(0, Leaf::Kill)];
    for (number, conditions) in rules {
        let Ok(call) = u32::try_from(*number) else { continue };
        let leaf = if conditions.is_empty() { Leaf::Allow } else { Leaf::Rules(*number) };
        // The last is a killing one, which ends here; where it has nothing in it, this follows on the one before.
        if ranges.last().is_some_and(|(begin, _)| *begin == call) {
            ranges.pop();
        }
        if ranges.last().is_none_or(|(_, before)| *before != leaf) {
            ranges.push((call, leaf));
        }
        ranges.push((call + 1, Leaf::Kill));
    }
    ranges
}

/// The search through ranges, which are at least one; where its jumps to conditions are, and to which.
fn search(
    ranges: &[(u32, Leaf)],
    conditional: &mut Vec<(usize, i64)>,
) -> Result<Vec<sock_filter>, BackendError> {
    if let [(_, leaf)] = ranges {
        return Ok(vec![match leaf {
            Leaf::Kill => instruction(RETURN, 0, SeccompAction::KillProcess.into()),
            Leaf::Allow => instruction(RETURN, 0, SeccompAction::Allow.into()),
            Leaf::Rules(number) => {
                conditional.push((0, *number));
                instruction(JUMP, 0, 0)
            }
        }]);
    }
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    let mut inner = Vec::new();
    let below = search(lower, &mut inner)?;
    conditional.extend(inner.drain(..).map(|(at, number)| (at + 1, number)));
    let above = search(upper, &mut inner)?;
    let over = u8::try_from(below.len()).map_err(|_| BackendError::FilterTooLarge(below.len()))?;
    conditional.extend(inner.drain(..).map(|(at, number)| (at + 1 + below.len(), number)));
    let mut tree = vec![instruction(JUMP_IF_AT_LEAST, over, upper[0].0)];
    tree.extend(below);
    tree.extend(above);
    Ok(tree)
}

fn instruction(code: u16, if_true: u8, value: u32) -> sock_filter {
    sock_filter { code, jt: if_true, jf: 0, k: value }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

    /// What a program answers, as the kernel would run it on `struct seccomp_data`.
    pub(crate) fn answer(program: &[sock_filter], data: &[u32]) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let step = &program[at];
            at += 1;
            let jump = |is_true: bool| usize::from(if is_true { step.jt } else { step.jf });
            match step.code {
                LOAD => value = data[usize::try_from(step.k).unwrap() / 4],
                RETURN => return step.k,
                JUMP => at += usize::try_from(step.k).unwrap(),
                0x15 => at += jump(value == step.k),
                0x25 => at += jump(value > step.k),
                JUMP_IF_AT_LEAST => at += jump(value >= step.k),
                0x54 => value &= step.k,
                other => panic!("{other:#x}"),
            }
        }
    }

    /// Number, architecture, instruction pointer and one argument.
    pub(crate) fn data(call: u32, argument: u64) -> Vec<u32> {
        // x86_64; the tests run there.
        let mut data = vec![call, 0xc000_003e, 0, 0];
        let (low, high) =
            (u32::try_from(argument & 0xffff_ffff).unwrap(), u32::try_from(argument >> 32).unwrap());
        data.extend([low, high].repeat(6));
        data
    }

    /// The instruction whose jump leaves the program, for which the kernel refuses it (`bpf_check_classic`).
    fn leads_nowhere(program: &[sock_filter]) -> Option<usize> {
        program.iter().enumerate().position(|(at, step)| {
            let jump = match step.code {
                JUMP => usize::try_from(step.k).unwrap(),
                code if code & 7 == JUMP => usize::from(step.jt.max(step.jf)),
                _ => 0,
            };
            at + jump + 1 >= program.len() && step.code != RETURN
        })
    }

    fn linear(rules: Rules) -> BpfProgram {
        let target: TargetArch = std::env::consts::ARCH.try_into().unwrap();
        let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, target);
        filter.unwrap().try_into().unwrap()
    }

    fn condition(argument: u8, value: u64) -> SeccompRule {
        let is = SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value);
        SeccompRule::new(vec![is.unwrap()]).unwrap()
    }

    proptest! {
        #[cfg(target_arch = "x86_64")]
        #[test]
        fn it_answers_as_a_comparison_a_call_would(
            calls in proptest::collection::btree_map(0_i64..120, proptest::option::of(0_u64..4), 0..60),
            argument in 0_u64..5,
        ) {
            let rules: Rules = calls
                .into_iter()
                .map(|(call, value)| {
                    let rules = value.map(|value| vec![condition(0, value), condition(5, value + 1)]);
                    (call, rules.unwrap_or_default())
                })
                .collect();
            let (searched, compared) = (program(rules.clone()).unwrap(), linear(rules));
            prop_assert!(leads_nowhere(&searched).is_none());
            for call in (0..125).chain([0x4000_0000, u32::MAX]) {
                let data = data(call, argument);
                prop_assert_eq!(answer(&searched, &data), answer(&compared, &data), "{}", call);
            }
            let mut foreign = data(0, argument);
            foreign[1] = 0x4000_0003;
            prop_assert_eq!(answer(&searched, &foreign), libc::SECCOMP_RET_KILL_PROCESS);
        }
    }
}
