//! The whole way of a network of one's own.

use own_network::{Samples, metrics, predict, train};

#[test]
fn it_learns_is_verified_and_answers() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let artifact = train(folder.path())?;
    assert_eq!(metrics(&artifact)?.lines().count(), 2 * 30, "training and validation of each epoch");
    for number in ["0.05", "0.33", "0.7", "0.95"] {
        let wanted = Samples::height(number.parse()?);
        let found = predict(&artifact, &[number])?[0].height;
        assert!((found - wanted).abs() < 0.15, "{number}: {found}, not {wanted}");
    }
    let refused = predict(&artifact, &["much"]).err().map(|error| error.to_string());
    assert_eq!(refused.as_deref(), Some("this is no number"));
    let weights = artifact.join("model.safetensors");
    let mut bytes = std::fs::read(&weights)?;
    *bytes.last_mut().ok_or("empty")? ^= 1;
    std::fs::write(&weights, bytes)?;
    assert!(predict(&artifact, &["0.5"]).is_err(), "changed weights are found out");
    Ok(())
}
