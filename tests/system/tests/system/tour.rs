//! The README's tours do what they say: their lines are run as they are printed.

use hypermesh_harness::{Node, Options, binary, has_tool, repository, require_cgroups, skip};
use std::fs;
use std::net::TcpListener;
use std::process::Command;

/// The `sh` blocks between the marks of a tour, in order. `None` when there are no marks.
fn blocks<'a>(readme: &'a str, tour: &str) -> Option<Vec<&'a str>> {
    let (_, rest) = readme.split_once(&format!("<!-- {tour} -->"))?;
    let (tour, _) = rest.split_once(&format!("<!-- /{tour} -->"))?;
    let after_opening = tour.split("```sh\n").skip(1);
    Some(after_opening.filter_map(|block| Some(block.split_once("```")?.0)).collect())
}

#[test]
fn blocks_are_found_between_the_marks_only() {
    let readme = "```sh\nno\n```\n<!-- tour -->\na\n```sh\none\n```\n```json\nno\n```\n```sh\ntwo\n```\n<!-- /tour -->\n```sh\nno\n```";
    assert_eq!(blocks(readme, "tour").unwrap(), ["one\n", "two\n"]);
    assert!(blocks("nothing", "tour").is_none());
}

#[test]
fn every_line_of_the_tour_works_as_printed() {
    let node = Node::start();
    require_cgroups!(node);
    if !has_tool("curl") {
        skip!("curl is not installed");
    }
    walk(&node, "tour", &[]);
}

#[test]
fn every_line_of_trustchain_s_tour_works_as_printed() {
    for tool in ["jq", "openssl", "dig", "certbot"] {
        if !has_tool(tool) {
            skip!("{tool} is not installed");
        }
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let variable = "HYPERMESH_TRUSTCHAIN_ACME_HTTP_PORT";
    let node = Node::configured(Options::default().flags(&["--tls"]).environment(variable, &port));
    walk(&node, "trustchain", &[(variable, &port)]);
}

/// Runs the lines of a tour on a node.
fn walk(node: &Node, tour: &str, environment: &[(&str, &str)]) {
    let readme = fs::read_to_string(repository().join("README.md")).expect("the repository has a README.md");
    let blocks = blocks(&readme, tour).unwrap_or_else(|| panic!("README.md has no tour {tour}"));
    assert!(!blocks.is_empty(), "the tour {tour} in README.md has no block of sh");
    let own = binary().parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&path))).unwrap();
    let mut bash = Command::new("bash");
    bash.env("HYPERMESH_DATA_DIR", node.data_dir()).env("PATH", path).current_dir(repository());
    bash.envs(environment.iter().copied());
    // -x tells which line failed.
    let output = bash.args(["-xeuo", "pipefail", "-c", &blocks.concat()]).output().unwrap();
    let (said, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}\n{talk}", output.status);
}
