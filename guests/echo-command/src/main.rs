//! A command as anybody's: no SDK, only the standard library. For tests of what a command is given.
//!
//! Its first argument says what to do with the others; it gives back what it finds. Ends with code 2 for a word that it
//! doesn't know.
#![allow(clippy::print_stdout, reason = "a command prints")]

use std::env;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match run(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<ExitCode, Box<dyn Error>> {
    match words {
        ["arguments", ..] => env::args().for_each(|argument| println!("{argument}")),
        ["environment"] => env::vars().for_each(|(name, value)| println!("{name}={value}")),
        ["cat"] => drop(io::copy(&mut io::stdin(), &mut io::stdout())?),
        ["complain"] => eprint!("first line\nsecond line"),
        ["bytes", count] => bytes(count.parse()?)?,
        ["exit", code] => std::process::exit(code.parse()?),
        ["fail"] => return Ok(ExitCode::FAILURE),
        ["panic"] => panic!("a command that panics"),
        ["recurse"] => println!("{}", recurse(black_box(u32::MAX))),
        ["count", to] => println!("{}", count(to.parse()?)),
        ["read", path] => print!("{}", fs::read_to_string(path)?),
        ["write", path, text] => fs::write(path, text)?,
        ["copy", from, to] => drop(fs::copy(from, to)?),
        ["append", path, text] => {
            fs::File::options().append(true).create(true).open(path)?.write_all(text.as_bytes())?;
        }
        ["list", path] => list(path)?,
        ["connect", address, text] => connect(address, text)?,
        ["listen", address] => drop(std::net::TcpListener::bind(address)?),
        ["datagram", address] => drop(UdpSocket::bind(address)?),
        _ => return Ok(ExitCode::from(2)),
    }
    io::stdout().flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Every value that a byte can have, over and over.
fn bytes(count: usize) -> io::Result<()> {
    let all: Vec<u8> = (0..=u8::MAX).cycle().take(count).collect();
    io::stdout().write_all(&all)
}

fn recurse(left: u32) -> u32 {
    if left == 0 { 0 } else { black_box(recurse(black_box(left - 1))) + 1 }
}

fn count(to: u64) -> u64 {
    (0..to).fold(0, |sum, n| black_box(sum ^ n))
}

fn list(path: &str) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().display().to_string());
    }
    names.sort();
    println!("{}", names.join("\n"));
    Ok(())
}

/// Says something and prints the answer.
fn connect(address: &str, text: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(text.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    print!("{answer}");
    Ok(())
}
