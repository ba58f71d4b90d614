//! `own-network FOLDER NUMBER...`: trains below the folder unless that was done, verifies, and asks for the numbers. It does not know
//! what is learnt.

#![expect(clippy::print_stdout, reason = "the answers are the product")]

use std::{env, error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let Some((folder, numbers)) = words.split_first() else { return Err("usage: own-network FOLDER NUMBER...".into()) };
    let artifact = Path::new(folder).join("wave/first/artifact");
    let artifact = if artifact.is_dir() { artifact } else { own_network::train(Path::new(folder))? };
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    for (number, answer) in numbers.iter().zip(own_network::predict(&artifact, &numbers)?) {
        println!("{number}: {:.3}", answer.height);
    }
    Ok(())
}
