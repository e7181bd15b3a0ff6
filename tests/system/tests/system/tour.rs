//! The README's tour does what it says: its lines are run as they are printed.

use hypermesh_harness::{Node, binary, has_tool, repository, require_cgroups, skip};
use std::fs;
use std::process::Command;

const BEGIN: &str = "<!-- tour -->";
const END: &str = "<!-- /tour -->";

/// The `sh` blocks between the marks, in order. `None` when there are no marks.
fn blocks(readme: &str) -> Option<Vec<&str>> {
    let (_, rest) = readme.split_once(BEGIN)?;
    let (tour, _) = rest.split_once(END)?;
    let after_opening = tour.split("```sh\n").skip(1);
    Some(after_opening.filter_map(|block| Some(block.split_once("```")?.0)).collect())
}

#[test]
fn blocks_are_found_between_the_marks_only() {
    let readme = "```sh\nno\n```\n<!-- tour -->\na\n```sh\none\n```\n```json\nno\n```\n```sh\ntwo\n```\n<!-- /tour -->\n```sh\nno\n```";
    assert_eq!(blocks(readme).unwrap(), ["one\n", "two\n"]);
    assert!(blocks("nothing").is_none());
}

#[test]
fn every_line_of_the_tour_works_as_printed() {
    let node = Node::start();
    require_cgroups!(node);
    if !has_tool("curl") {
        skip!("curl is not installed");
    }
    let readme = fs::read_to_string(repository().join("README.md")).expect("the repository has a README.md");
    let blocks = blocks(&readme).unwrap_or_else(|| panic!("README.md has no tour between {BEGIN} and {END}"));
    assert!(!blocks.is_empty(), "the tour in README.md has no block of sh");
    let own = binary().parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&path))).unwrap();
    let mut bash = Command::new("bash");
    bash.env("HYPERMESH_DATA_DIR", node.data_dir()).env("PATH", path).current_dir(repository());
    // -x tells which line failed.
    let output = bash.args(["-xeuo", "pipefail", "-c", &blocks.concat()]).output().unwrap();
    let (said, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}\n{talk}", output.status);
}
