//! Components that were whole: cut between any two sections, bits flipped. Whatever is left of them is refused or is itself
//! one; the node lives.

use crate::ground::{Vigil, nothing_is_left, offer};
use hypermesh_artifacts::HASH_FILES;
use hypermesh_harness::{Node, require_cgroups};
use hypermesh_tests_hostile::damage::{Dice, boundaries, damaged, flipped};
use hypermesh_tests_hostile::forge::Job;

/// What is done to one component over REST; vetting alone is asked far more often (`admission`).
const TRIES: usize = 60;

#[test]
fn a_component_that_is_cut_between_two_sections_is_refused() {
    let node = Node::start();
    require_cgroups!(node);
    let _vigil = Vigil::over(&node);
    for (name, bytes) in [("forged", Job::default().component()), ("sample", HASH_FILES.component.to_vec())] {
        let places = boundaries(&bytes);
        assert!(places.len() > 20, "{name}: {places:?}");
        // What follows the last export is about the tools that made it, and may be missing.
        let (mut taken, mut last_refused) = (Vec::new(), 0);
        for place in places.into_iter().filter(|place| *place < bytes.len()) {
            match offer(&node, &format!("{name}-{place}"), &bytes[..place]) {
                Some(refused) => {
                    assert_eq!(refused.status, 422, "{name} up to {place}: {refused:?}");
                    last_refused = place;
                }
                None => taken.push(place),
            }
        }
        assert!(last_refused > 0 && taken.iter().all(|place| *place > last_refused), "{name}: {taken:?}");
        assert_eq!(offer(&node, name, &bytes), None, "the whole is taken");
    }
    nothing_is_left(&node);
}

#[test]
fn flipped_bits_and_exchanged_pieces_are_the_uploads_fault() {
    let node = Node::start();
    require_cgroups!(node);
    let _vigil = Vigil::over(&node);
    let (one, other) = (Job::default().component(), Job::answering("[1, 2, 3]").component());
    let mut dice = Dice::new(4);
    let mut taken = 0;
    for n in 0..TRIES {
        let bytes = if n % 2 == 0 { flipped(&one, &mut dice) } else { damaged(&one, &other, &mut dice) };
        // Or it is a component still: a flipped bit of a string makes another string.
        taken += usize::from(offer(&node, &format!("damaged-{n}"), &bytes).is_none());
    }
    assert!(taken < TRIES, "at least one of {TRIES} was refused");
    assert_eq!(offer(&node, "whole", &one), None, "and a whole one is taken");
    nothing_is_left(&node);
}
