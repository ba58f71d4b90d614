use homeostat_data::{
    ChannelStats, DataError, DataRoot, Filter, Image, ImagePrepare, PrepareStep, Shape, SourceConfig, resize,
};
use serde::Deserialize;

use crate::{differences, fixture, picture};

#[derive(Deserialize, serde::Serialize)]
struct Task {
    prepare: ImagePrepare,
}

fn prepare(text: &str) -> ImagePrepare {
    toml::from_str::<Task>(&format!("prepare = {text}")).unwrap().prepare
}

/// The agreement of all sizes and filters with Pillow.
#[test]
fn resize_is_that_of_pillow() {
    let source = Image::decode(&fixture("source.png")).unwrap();
    for (name, filter) in [
        ("nearest", Filter::Nearest),
        ("bilinear", Filter::Bilinear),
        ("bicubic", Filter::Bicubic),
        ("lanczos", Filter::Lanczos),
    ] {
        for [height, width] in [[11, 15], [50, 60], [9, 41], [64, 13]] {
            let truth = Image::decode(&fixture(&format!("{name}-{height}x{width}.png"))).unwrap();
            let far = differences(&resize(&source, height, width, filter), &truth);
            let (most, beyond_one) = (far.iter().max().unwrap(), far.iter().filter(|&&d| d > 1).count());
            assert!(*most <= 3 && beyond_one * 100 <= far.len(), "{name} {height} x {width}: {most}, {beyond_one}");
        }
    }
}

#[test]
fn the_steps_run_in_order_and_say_the_shape() {
    let steps = prepare(
        r#"[{ resize = { size = 16, mode = "shorter-side", filter = "bicubic" } }, { center-crop = { size = [12, 20] } }, { channels = 1 }, "normalize-from-train"]"#,
    );
    steps.check("task.prepare").unwrap();
    let out = steps.host(Image::decode(&fixture("source.png")).unwrap()).unwrap();
    assert_eq!(out.shape(), Shape { height: 12, width: 20, channels: 1 });
    assert_eq!(steps.input_shape(), Some(out.shape()));
    assert_eq!(prepare("[{ channels = 3 }]").input_shape(), None);
    assert_eq!(prepare("[{ channels = 3 }, { resize = { size = 9, mode = 'shorter-side' } }]").input_shape(), None);
}

#[test]
fn the_shorter_side_gets_the_size_and_the_longer_follows() {
    let steps = prepare("[{ resize = { size = 10, mode = 'shorter-side' } }]");
    for (from, to) in [([33, 41], [10, 12]), ([41, 33], [12, 10]), ([7, 7], [10, 10])] {
        let out = steps.host(picture(from[0], from[1], 1, |_, _, _| 5)).unwrap();
        assert_eq!([out.height(), out.width()], to);
        assert!(out.pixels().iter().all(|&level| level == 5));
    }
    let strip = picture(1, 60_000, 1, |_, _, _| 0);
    let error = prepare("[{ resize = { size = 200, mode = 'shorter-side' } }]").host(strip).unwrap_err();
    assert!(matches!(error.named("strip.png"), DataError::Corrupt { name, .. } if name == "strip.png"));
}

#[test]
fn the_middle_is_cut_out_and_a_small_picture_gets_a_border() {
    let image = picture(5, 4, 1, |x, y, _| u8::try_from(10 * y + x).unwrap());
    let cut = prepare("[{ center-crop = { size = [3, 2] } }]").host(image.clone()).unwrap();
    assert_eq!(cut.pixels(), [11, 12, 21, 22, 31, 32]);
    let wide = prepare("[{ center-crop = { size = [1, 6], fill = 9 } }]").host(image.clone()).unwrap();
    assert_eq!(wide.pixels(), [9, 20, 21, 22, 23, 9]);
    let large = prepare("[{ center-crop = { size = 9, fill = 7 } }]").host(image.clone()).unwrap();
    assert_eq!(large.pixels().iter().filter(|&&level| level == 7).count(), 81 - 20);
    assert_eq!(large.get(2, 2), image.get(0, 0), "rows 2..7, columns 2..6");
}

#[test]
fn steps_that_cannot_work_are_named() {
    for (text, expected) in [
        ("['normalize-from-train', { channels = 1 }]", "`p.0`: the normalisation has to be the last step"),
        ("[{ channels = 2 }]", "`p.0.channels`: 2 is neither 1 nor 3"),
        ("[{ resize = { size = 0 } }]", "`p.0.resize.size`: 0 x 0 pixels"),
        (
            "[{ resize = { size = [8, 9], mode = 'shorter-side' } }]",
            "`p.0.resize.size`: the mode `shorter-side` wants one number",
        ),
        ("[{ center-crop = { size = 100000000 } }]", "`p.0.center-crop.size`"),
        ("[{ normalize = { mean = [0.5], std = [0.0] } }]", "standard deviations above 0"),
        ("[{ normalize = { mean = [nan], std = [1.0] } }]", "means have to be finite"),
        ("[{ normalize = { mean = [0.5], std = [1e-60] } }]", "the range of 32-bit floats"),
        ("[{ normalize = { mean = [1e60], std = [1.0] } }]", "the range of 32-bit floats"),
        ("[{ normalize = { mean = [0.5, 0.5, 0.5, 0.5], std = [1, 1, 1, 1] } }]", "4 means"),
        ("[{ channels = 1 }, { normalize = { mean = [0.5, 0.5, 0.5], std = [1, 1, 1] } }]", "`p.1.normalize`: 3 means"),
        ("[{ normalize = { mean = [0.5, 0.5], std = [1.0] } }]", "2 means and 1 standard deviations"),
        (
            "[{ resize = { size = 8 } }, { channels = 1 }, { normalize = { mean = [0.5, 0.5, 0.5], std = [1, 1, 1] } }]",
            "`p.2.normalize`: 3 means and standard deviations, but grey pictures take 1",
        ),
    ] {
        let error = prepare(text).check("p").unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn the_form_in_a_file_is_kept() {
    let text = "prepare = [{ resize = { size = [8, 9], mode = \"stretch\", filter = \"lanczos\" } }, { center-crop = { size = 28, fill = 0 } }, { channels = 3 }, \"normalize-from-train\"]\n";
    let task: Task = toml::from_str(text).unwrap();
    let again: Task = toml::from_str(&toml::to_string(&task).unwrap()).unwrap();
    assert_eq!(task.prepare, again.prepare);
    assert!(toml::from_str::<Task>("prepare = [{ resize = { sise = 8 } }]").is_err());
}

/// The figures of the training part of scikit-learn's digits, computed with numpy from the original levels 0 to 16:
/// mean 4.8842 / 16 and standard deviation 6.0168 / 16 over all 1,797.
#[test]
fn statistics_of_the_digits_are_those_of_numpy() {
    let digits = SourceConfig::Digits.open(&DataRoot::default()).unwrap();
    let stats = ChannelStats::of((0..digits.len()).map(|i| digits.get(i))).unwrap();
    assert!((stats.mean()[0] - 4.884_164_579_855_314 / 16.0).abs() < 5e-4, "{:?}", stats.mean());
    assert!((stats.std()[0] - 6.016_787_548_672_236 / 16.0).abs() < 5e-4, "{:?}", stats.std());
    let backwards = ChannelStats::of((0..digits.len()).rev().map(|i| digits.get(i))).unwrap();
    assert_eq!(stats, backwards);
}

#[test]
fn statistics_replace_the_marker() {
    let image = picture(1, 4, 3, |x, _, channel| [[0, 255, 0, 255], [51; 4], [0, 0, 0, 255]][channel][x]);
    let stats = ChannelStats::of([Ok(image.clone())]).unwrap();
    let mut steps = prepare("['normalize-from-train']");
    assert!(steps.wants_stats() && steps.tail().is_none());
    steps.resolve(&stats);
    let [PrepareStep::Normalize(found)] = &steps.0[..] else { panic!("{steps:?}") };
    assert_eq!(steps.tail(), Some(found));
    let close = |found: &[f64], expected: [f64; 3]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!(close(&found.mean, [0.5, 0.2, 0.25]) && close(&found.std, [0.5, 1.0, 0.1875f64.sqrt()]), "{found:?}");
    assert!(!steps.wants_stats());
    let error = ChannelStats::of([Ok(image.clone()), Ok(image.to_channels(1))]).unwrap_err().to_string();
    assert!(error.contains("channels = 3"), "{error}");
}
