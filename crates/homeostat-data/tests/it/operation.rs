use homeostat_data::{
    AugMix, Filter, Image, ImageAugment, Operation, RandAugment, Rng, SampleKey, Shape, TrivialAugment, resize,
};
use serde::Deserialize;

use crate::{differences, fixture_of, picture};

fn torchvision(name: &str) -> Image {
    Image::decode(&fixture_of("torchvision", &format!("{name}.png"))).unwrap()
}

pub(crate) fn source() -> Image {
    Image::decode(&fixture_of("pillow", "source.png")).unwrap()
}

/// Slopes, shifts and angles as in `tests/fixtures/torchvision_v2.py`.
const MOVED: [(&str, Operation); 5] = [
    ("shear-x", Operation::ShearX(0.3)),
    ("shear-y", Operation::ShearY(-0.4)),
    ("translate-x", Operation::TranslateX(7.0)),
    ("translate-y", Operation::TranslateY(-5.0)),
    ("rotate", Operation::Rotate(25.0)),
];

const CHANGED: [(&str, Operation); 13] = [
    ("brightness-0.4", Operation::Brightness(0.4)),
    ("brightness-1.7", Operation::Brightness(1.7)),
    ("contrast-0.4", Operation::Contrast(0.4)),
    ("contrast-1.7", Operation::Contrast(1.7)),
    ("saturation-0.3", Operation::Saturation(0.3)),
    ("saturation-1.8", Operation::Saturation(1.8)),
    ("hue-0.2", Operation::Hue(0.2)),
    ("hue--0.35", Operation::Hue(-0.35)),
    ("sharpness-0.2", Operation::Sharpness(0.2)),
    ("sharpness-1.9", Operation::Sharpness(1.9)),
    ("blur-0.7", Operation::Blur(0.7)),
    ("blur-2.5", Operation::Blur(2.5)),
    ("grayscale", Operation::Grayscale),
];

/// Within 1 level on 99 % of levels, and 3 at most.
fn assert_nearly(name: &str, ours: &Image, truth: &Image) {
    let far = differences(ours, truth);
    let (most, beyond_one) = (far.iter().max().unwrap(), far.iter().filter(|&&d| d > 1).count());
    assert!(*most <= 3 && beyond_one * 100 <= far.len(), "{name}: {most}, {beyond_one} of {}", far.len());
}

#[test]
fn moved_pixels_are_those_of_torchvision() {
    for (name, operation) in MOVED {
        assert_nearly(name, &operation.apply(source(), 9), &torchvision(name));
    }
}

#[test]
fn changed_levels_are_those_of_torchvision() {
    for (name, operation) in CHANGED {
        let most = differences(&operation.apply(source(), 0), &torchvision(name)).into_iter().max();
        assert!(most <= Some(1), "{name}: {most:?}");
    }
    for (name, operation, from) in [
        ("posterize", Operation::Posterize(3), source()),
        ("solarize", Operation::Solarize(99.5), source()),
        ("invert", Operation::Invert, source()),
        ("autocontrast", Operation::Autocontrast, torchvision("dull")),
        ("equalize", Operation::Equalize, torchvision("dull")),
        ("equalize-source", Operation::Equalize, source()),
    ] {
        assert_eq!(differences(&operation.apply(from, 0), &torchvision(name)).into_iter().max(), Some(0), "{name}");
    }
}

/// The same on photographs, which do not belong to the project: `benches/photograph_parity.py` makes the folder.
#[test]
fn photographs_are_changed_as_pillow_and_torchvision_change_them() {
    let Some(folder) = std::env::var_os("HOMEOSTAT_PHOTOGRAPHS") else {
        eprintln!(
            "skipped: HOMEOSTAT_PHOTOGRAPHS names no folder; `cargo xtask parity` makes one of photographs that it finds"
        );
        return;
    };
    let mut compared = 0;
    let read = |path: std::path::PathBuf| Image::decode(&std::fs::read(&path).unwrap()).unwrap();
    for photograph in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        compared += 1;
        let file = |name: &str| read(photograph.join(format!("{name}.png")));
        let (source, what) = (file("source"), |name: &str| format!("{name} of {}", photograph.display()));
        for (name, operation) in MOVED {
            assert_nearly(&what(name), &operation.apply(source.clone(), 9), &file(name));
        }
        let exact = [("autocontrast", Operation::Autocontrast), ("equalize", Operation::Equalize)];
        for (name, operation) in CHANGED.into_iter().chain(exact) {
            let most = differences(&operation.apply(source.clone(), 0), &file(name)).into_iter().max();
            assert!(most <= Some(1), "{}: {most:?}", what(name));
        }
        for (name, filter) in [
            ("nearest", Filter::Nearest),
            ("bilinear", Filter::Bilinear),
            ("bicubic", Filter::Bicubic),
            ("lanczos", Filter::Lanczos),
        ] {
            for [height, width] in [[160, 160], [32, 48], [300, 260]] {
                let name = format!("{name}-{height}x{width}");
                assert_nearly(&what(&name), &resize(&source, height, width, filter), &file(&name));
            }
        }
    }
    assert!(compared > 0, "no photograph in the folder");
    eprintln!("{compared} photographs: changed as they change them");
}

fn all() -> Vec<Operation> {
    vec![
        Operation::Identity,
        Operation::ShearX(0.4),
        Operation::ShearY(0.4),
        Operation::TranslateX(3.0),
        Operation::TranslateY(3.0),
        Operation::Rotate(40.0),
        Operation::Brightness(0.5),
        Operation::Contrast(0.5),
        Operation::Saturation(0.5),
        Operation::Hue(0.3),
        Operation::Sharpness(3.0),
        Operation::Posterize(2),
        Operation::Solarize(128.0),
        Operation::Autocontrast,
        Operation::Equalize,
        Operation::Invert,
        Operation::Grayscale,
        Operation::Blur(1.5),
    ]
}

/// Colour with alpha is changed as colour without; alpha goes along where pixels move, and stays where levels change.
#[test]
fn alpha_does_not_take_part() {
    let color = source();
    let alpha = |x: usize, y: usize| u8::try_from(x * 6).unwrap().wrapping_add(u8::try_from(y).unwrap());
    let both =
        picture(color.height(), color.width(), 4, |x, y, c| if c == 3 { alpha(x, y) } else { color.get(x, y)[c] });
    let mask = picture(color.height(), color.width(), 1, |x, y, _| alpha(x, y));
    for operation in all() {
        let out = operation.apply(both.clone(), 0);
        assert_eq!(out.clone().to_channels(3), operation.apply(color.clone(), 0), "{operation:?}");
        let seen = picture(mask.height(), mask.width(), 1, |x, y, _| out.get(x, y)[3]);
        let is_motion = matches!(
            operation,
            Operation::ShearX(_)
                | Operation::ShearY(_)
                | Operation::TranslateX(_)
                | Operation::TranslateY(_)
                | Operation::Rotate(_)
        );
        let truth = if is_motion { operation.apply(mask.clone(), 0) } else { mask.clone() };
        assert_eq!(seen, truth, "{operation:?}");
    }
}

/// A grey picture comes out as the same picture in colour does, up to the rounding of the luma.
#[test]
fn grey_is_changed_as_grey_in_colour_is() {
    let grey = source().to_channels(1);
    for operation in all() {
        let out = operation.apply(grey.clone(), 5);
        assert_eq!(out.to_channels(3), operation.apply(grey.clone().to_channels(3), 5), "{operation:?}");
    }
}

/// However large a factor is, levels end at 0 and at 255.
#[test]
fn factors_do_not_overflow() {
    let image = picture(2, 4, 3, |x, _, _| [0, 1, 100, 255][x]);
    for factor in [1e9, -1e9, 101.0, -100.0] {
        for operation in [Operation::Brightness(factor), Operation::Contrast(factor), Operation::Saturation(factor)] {
            assert_eq!(operation.apply(image.clone(), 0).shape(), image.shape(), "{operation:?}");
        }
    }
    assert_eq!(
        Operation::Brightness(1e9).apply(image.clone(), 0).pixels()[..9],
        [0, 0, 0, 101, 101, 101, 255, 255, 255]
    );
    assert_eq!(
        Operation::Contrast(1e9).apply(image, 0).pixels()[..12],
        [0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255]
    );
}

/// Down to one pixel, and all of one level.
#[test]
fn every_operation_stands_every_size() {
    for (height, width, channels) in [(1, 1, 1), (1, 7, 3), (2, 1, 4), (2, 2, 3), (3, 3, 1)] {
        let flat = picture(height, width, channels, |_, _, _| 77);
        for operation in all() {
            assert_eq!(operation.apply(flat.clone(), 0).shape(), flat.shape(), "{operation:?}");
        }
        for operation in [Operation::Autocontrast, Operation::Equalize, Operation::Blur(9.0), Operation::Sharpness(2.0)]
        {
            assert_eq!(operation.apply(flat.clone(), 0), flat, "{operation:?}");
        }
    }
}

#[derive(Deserialize)]
struct Train {
    augment: ImageAugment,
}

pub(crate) fn augment(text: &str) -> ImageAugment {
    let steps = toml::from_str::<Train>(&format!("augment = {text}")).unwrap().augment;
    steps.check("train.augment").unwrap();
    steps
}

pub(crate) fn key(sample: u64) -> SampleKey {
    SampleKey { seed: 1, epoch: 0, sample }
}

pub(crate) const STEPS: [&str; 24] = [
    "{ random-resized-crop = { size = 9 } }",
    "{ shear = { x = 30, y = 10 } }",
    "{ perspective = { probability = 1 } }",
    "{ color-jitter = { brightness = 0.4, contrast = 0.4, saturation = 0.4, hue = 0.1 } }",
    "{ grayscale = {} }",
    "{ autocontrast = {} }",
    "{ equalize = {} }",
    "{ invert = {} }",
    "{ posterize = { bits = 2 } }",
    "{ solarize = { threshold = 100 } }",
    "{ sharpness = { factor = 3 } }",
    "{ gaussian-blur = {} }",
    "{ gaussian-noise = {} }",
    "{ random-erasing = {} }",
    "{ cutout = { size = 6 } }",
    "{ rand-augment = {} }",
    "{ trivial-augment = {} }",
    "{ auto-augment = {} }",
    "{ auto-augment = { policy = 'cifar10' } }",
    "{ auto-augment = { policy = 'svhn' } }",
    "{ aug-mix = {} }",
    "'three-augment'",
    "{ elastic = { sigma = 3 } }",
    "{ jpeg-artefacts = { quality = [5, 60] } }",
];

/// Each step: the same for the same key, not the same for all keys, and on every kind of picture.
#[test]
fn the_key_determines_what_each_step_does() {
    for step in STEPS {
        let steps = augment(&format!("[{step}]"));
        for image in [
            source(),
            source().to_channels(1),
            picture(1, 1, 4, |_, _, _| 9),
            picture(5, 2, 3, |_, y, _| [9, 90, 7, 30, 200][y]),
        ] {
            let outs: Vec<Image> = (0..24).map(|i| steps.apply(image.clone(), key(i))).collect();
            assert!(
                outs.iter().enumerate().all(|(i, out)| *out == steps.apply(image.clone(), key(i as u64))),
                "{step}"
            );
            let colour_only = image.channels() == 1 && step.contains("grayscale");
            if image.height() > 30 && !colour_only {
                assert!(outs.iter().any(|out| *out != outs[0]), "{step} on {image:?}");
            }
        }
    }
}

/// What a step draws is its own: a cutout falls on the same place, whatever the options of the steps around it.
#[test]
fn the_options_of_a_step_do_not_change_what_others_draw() {
    let white = picture(20, 20, 3, |_, _, _| 255);
    let cut = "{ cutout = { size = 5 } }";
    let alone = augment(&format!("[{cut}]"));
    for others in [
        ["{ gaussian-noise = { sigma = 0 } }", "{ rand-augment = { operations = 0 } }"],
        ["{ gaussian-noise = { probability = 0 } }", "{ sharpness = { factor = 1 } }"],
        ["{ gaussian-blur = { sigma = [1, 3] } }", "{ posterize = { bits = 8 } }"],
        ["{ random-erasing = { fill = 255, probability = 1 } }", "{ invert = { probability = 0 } }"],
    ] {
        let among = augment(&format!("[{}, {cut}, {}]", others[0], others[1]));
        let hole = |image: &Image| image.pixels().iter().map(|&level| level < 128).collect::<Vec<_>>();
        for i in 0..30 {
            let (one, other) = (alone.apply(white.clone(), key(i)), among.apply(white.clone(), key(i)));
            assert_eq!(hole(&one), hole(&other), "{others:?}, sample {i}");
        }
    }
}

/// Area and proportions of the part, seen from a picture whose levels tell their place.
#[test]
fn a_resized_crop_keeps_to_its_ranges() {
    let across = picture(40, 60, 3, |x, y, c| u8::try_from([x * 4, y * 4, 0][c]).unwrap());
    let steps = augment(
        "[{ random-resized-crop = { size = [40, 60], scale = [0.2, 0.5], ratio = [0.5, 2], filter = 'nearest' } }]",
    );
    let mut places = std::collections::BTreeSet::new();
    let (mut smallest, mut largest, mut narrow, mut wide) = (f64::MAX, 0.0_f64, f64::MAX, 0.0_f64);
    for i in 0..400 {
        let out = steps.apply(across.clone(), key(i));
        assert_eq!(out.shape(), across.shape());
        let [first, last] = [out.get(0, 0), out.get(59, 39)];
        places.insert((first[0], first[1]));
        let [w, h] = [0, 1].map(|c| f64::from((last[c] - first[c]) / 4 + 1));
        let (area, ratio) = (w * h / 2400.0, w / h);
        (smallest, largest) = (smallest.min(area), largest.max(area));
        (narrow, wide) = (narrow.min(ratio), wide.max(ratio));
    }
    assert!((0.18..0.22).contains(&smallest) && (0.48..0.52).contains(&largest), "{smallest} to {largest}");
    assert!((0.46..0.54).contains(&narrow) && (1.86..2.14).contains(&wide), "{narrow} to {wide}");
    let (columns, rows): (std::collections::BTreeSet<_>, std::collections::BTreeSet<_>) = places.into_iter().unzip();
    assert!(columns.len() > 20 && rows.len() > 10, "{} columns and {} rows to begin in", columns.len(), rows.len());
    let whole = augment("[{ random-resized-crop = { size = [16, 12], scale = [1, 1], ratio = [1.5, 1.5] } }]");
    assert_eq!(whole.apply(across.clone(), key(0)), resize(&across, 16, 12, Filter::Bilinear));
    // A strip has no part of these proportions: the largest in the middle is taken.
    let strip = picture(4, 100, 1, |x, _, _| u8::try_from(x).unwrap());
    let steps =
        augment("[{ random-resized-crop = { size = [4, 8], scale = [0.9, 1], ratio = [1, 2], filter = 'nearest' } }]");
    assert_eq!(steps.apply(strip, key(0)).pixels()[..8], [46, 47, 48, 49, 50, 51, 52, 53]);
}

#[test]
fn an_erased_rectangle_keeps_to_its_ranges_and_a_cutout_to_its_size() {
    let white = picture(40, 40, 4, |_, _, _| 255);
    let steps = augment("[{ random-erasing = { scale = [0.1, 0.3], ratio = [0.5, 2], fill = 3 } }]");
    let mut erased = 0;
    for i in 0..400 {
        let out = steps.apply(white.clone(), key(i));
        assert!(out.pixels().chunks_exact(4).all(|pixel| pixel[3] == 255), "alpha stays");
        let hole = out.pixels().chunks_exact(4).filter(|pixel| pixel[..3] == [3; 3]).count();
        assert!(hole == 0 || (0.09..0.32).contains(&(hole as f64 / 1600.0)), "{hole}");
        erased += usize::from(hole > 0);
    }
    assert!((150..250).contains(&erased), "{erased} of 400");
    let random = augment("[{ random-erasing = { probability = 1 } }]").apply(white.clone(), key(0));
    assert!(random.pixels().iter().collect::<std::collections::BTreeSet<_>>().len() > 50, "random levels");

    let steps = augment("[{ cutout = { size = 7 } }]");
    let holes: Vec<usize> = (0..400)
        .map(|i| steps.apply(white.clone(), key(i)).pixels().chunks_exact(4).filter(|pixel| pixel[0] == 0).count())
        .collect();
    assert!(holes.iter().all(|&hole| (12..=49).contains(&hole)) && holes.contains(&49));
    assert!(holes.iter().any(|&hole| hole < 30), "partly outside now and then");
}

/// Even shrunk beyond reason, a picture is its middle on the fill.
#[test]
fn motions_do_not_overflow() {
    let tiny = "{ scale = { min = 0.01, max = 0.01, fill = 3 } }";
    let steps = augment(&format!("[{tiny}, {tiny}, {tiny}, {tiny}, {{ translate = {{ fraction = 1, fill = 3 }} }}]"));
    for i in 0..20 {
        let out = steps.apply(picture(2, 60_000, 1, |_, _, _| 200), key(i));
        assert!(out.pixels().iter().filter(|&&level| level != 3).count() <= 16);
    }
}

#[test]
fn noise_has_its_standard_deviation() {
    let grey = picture(60, 60, 3, |_, _, _| 128);
    let out = augment("[{ gaussian-noise = { sigma = 0.1 } }]").apply(grey.clone(), key(0));
    let noise: Vec<f64> = out.pixels().iter().map(|&level| f64::from(level) - 128.0).collect();
    let mean = noise.iter().sum::<f64>() / noise.len() as f64;
    let deviation = (noise.iter().map(|x| x * x).sum::<f64>() / noise.len() as f64).sqrt();
    assert!(mean.abs() < 1.0 && (24.5..26.5).contains(&deviation), "{mean} and {deviation}");
}

/// The parts of a jitter come in every order.
#[test]
fn a_jitter_draws_its_order() {
    let image = picture(1, 2, 3, |x, _, c| [[200, 40, 10], [90, 120, 250]][x][c]);
    let both = augment("[{ color-jitter = { brightness = 0.9, contrast = 0.9, saturation = 0 } }]");
    let light = augment("[{ color-jitter = { brightness = 0.9, contrast = 0, saturation = 0 } }]");
    let spread = augment("[{ color-jitter = { brightness = 0, contrast = 0.9, saturation = 0 } }]");
    let (mut first, mut second) = (0, 0);
    for i in 0..60 {
        let out = both.apply(image.clone(), key(i));
        // The draws of one part do not depend on the strength of the others.
        let one = spread.apply(light.apply(image.clone(), key(i)), key(i));
        let other = light.apply(spread.apply(image.clone(), key(i)), key(i));
        assert!(out == one || out == other, "sample {i}");
        first += usize::from(out == one && out != other);
        second += usize::from(out == other && out != one);
    }
    assert!(first > 5 && second > 5, "{first} and {second}");
}

/// A perspective of no distortion changes nothing, and one of some keeps the middle of a symmetric picture in it.
#[test]
fn a_perspective_draws_the_corners_inwards() {
    let image = source();
    let none = augment("[{ perspective = { probability = 1, distortion = 0 } }]").apply(image.clone(), key(0));
    assert_eq!(none, image);
    let white = picture(30, 40, 1, |_, _, _| 255);
    for i in 0..50 {
        let out = augment("[{ perspective = { probability = 1, distortion = 0.5 } }]").apply(white.clone(), key(i));
        assert_eq!(out.get(20, 15), [255], "the middle is inside");
        assert!(out.pixels().contains(&0), "the corners are not, sample {i}");
        let inside = out.pixels().iter().filter(|&&level| level == 255).count();
        assert!(inside >= 300, "half of each side is left: {inside}");
    }
}

/// Each of the fourteen operations as often as the others, to both sides.
#[test]
fn policies_draw_evenly() {
    let shape = Shape { height: 32, width: 32, channels: 3 };
    let mut rng = Rng::keyed(1, [0, 0, 0]);
    let kind = |operation: &Operation| format!("{operation:?}").split('(').next().unwrap().to_owned();
    let mut counts = std::collections::BTreeMap::<String, [usize; 2]>::new();
    let policy = RandAugment { operations: 4, magnitude: 15, ..RandAugment::default() };
    for _ in 0..3500 {
        let drawn = policy.draw(shape, &mut rng);
        assert_eq!(drawn.len(), 4);
        drawn.iter().for_each(|operation| counts.entry(kind(operation)).or_default()[0] += 1);
        if let [Operation::Rotate(degrees), ..] = drawn[..] {
            assert!((degrees.abs() - 15.0).abs() < 1e-9);
        }
    }
    let mut angles = std::collections::BTreeSet::new();
    for _ in 0..14_000 {
        let drawn = TrivialAugment::draw(&mut rng);
        counts.entry(kind(&drawn)).or_default()[1] += 1;
        if let Operation::Rotate(degrees) = drawn {
            angles.insert(format!("{degrees:.2}"));
        }
    }
    assert_eq!(counts.len(), 14);
    assert!(counts.values().flatten().all(|count| (870..1130).contains(count)), "{counts:?}");
    assert!(angles.len() >= 61, "31 magnitudes to both sides: {angles:?}");
}

/// Chains of one to three operations, the picture's own share evenly from 0 to 1, and shares that are shares.
#[test]
fn aug_mix_draws_chains_and_shares() {
    let shape = Shape { height: 32, width: 32, channels: 3 };
    let mut rng = Rng::keyed(1, [0, 0, 0]);
    let (mut own, mut depths) = ([0; 4], [0; 4]);
    for _ in 0..4000 {
        let chains = AugMix { width: 4, ..AugMix::default() }.draw(shape, &mut rng);
        assert_eq!(chains.len(), 4);
        let sum: f64 = chains.iter().map(|(share, _)| share).sum();
        assert!(chains.iter().all(|(share, _)| *share >= 0.0) && (0.0..=1.0 + 1e-9).contains(&sum));
        own[[0.25, 0.5, 0.75].iter().filter(|&&edge| sum > edge).count()] += 1;
        for (_, chain) in &chains {
            depths[chain.len()] += 1;
            let too_strong = |operation: &Operation| matches!(operation, Operation::Rotate(degrees) if degrees.abs() > 30.0 * 2.01 / 9.0);
            assert!(!chain.iter().any(too_strong), "severity 3 has the lowest three of ten magnitudes");
        }
    }
    assert!(own.iter().all(|count| (900..1100).contains(count)), "{own:?}");
    assert!(depths[0] == 0 && depths[1..].iter().all(|count| (5100..5600).contains(count)), "{depths:?}");
}

/// At severity 1 no operation changes a picture of this one level, so that neither may the mix: its shares sum to 1.
#[test]
fn shares_of_a_mix_sum_to_one() {
    let flat = picture(8, 8, 3, |_, _, _| 240);
    let steps = augment("[{ aug-mix = { severity = 1 } }]");
    assert!((0..40).all(|i| steps.apply(flat.clone(), key(i)) == flat));
}

#[test]
fn three_augment_does_each_of_three_as_often() {
    let image = source();
    let (grey, bright) =
        (Operation::Grayscale.apply(image.clone(), 0), Operation::Solarize(128.0).apply(image.clone(), 0));
    let steps = augment("['three-augment']");
    let mut counts = [0; 3];
    for i in 0..600 {
        let out = steps.apply(image.clone(), key(i));
        counts[if out == grey {
            0
        } else if out == bright {
            1
        } else {
            2
        }] += 1;
    }
    assert!(counts.iter().all(|count| (150..250).contains(count)), "{counts:?}");
}

/// The poorer the quality, the farther from the picture; alpha and grey stay what they are.
#[test]
fn jpeg_artefacts_grow_as_quality_falls() {
    let mean = |quality: u8, image: Image| {
        let steps =
            augment(&format!("[{{ jpeg-artefacts = {{ probability = 1, quality = [{quality}, {quality}] }} }}]"));
        let out = steps.apply(image.clone(), key(0));
        differences(&out, &image).into_iter().map(f64::from).sum::<f64>() / out.pixels().len() as f64
    };
    let far = [100, 50, 5].map(|quality| mean(quality, source()));
    assert!(far[0] < 2.0 && far[0] < far[1] && far[1] < far[2], "{far:?}");
    assert!(mean(100, source().to_channels(1)) < 2.0);
    let alpha = picture(20, 20, 4, |x, y, c| u8::try_from(if c == 3 { x + y } else { 9 * x }).unwrap());
    let out = augment("[{ jpeg-artefacts = { probability = 1 } }]").apply(alpha.clone(), key(0));
    assert!((0..20).all(|i| out.get(i, 7)[3] == alpha.get(i, 7)[3]));
}

/// The field is smooth, has the strength that the formula says, and no direction of its own.
#[test]
fn an_elastic_field_moves_by_a_few_pixels() {
    let across = picture(60, 60, 1, |x, _, _| u8::try_from(x * 4).unwrap());
    let steps = augment("[{ elastic = { alpha = 60, sigma = 3 } }]");
    let moved: Vec<f64> = (0..20)
        .flat_map(|i| {
            let out = steps.apply(across.clone(), key(i));
            let shift = |x: usize, y: usize| (f64::from(out.get(x, y)[0]) - f64::from(across.get(x, y)[0])) / 4.0;
            (20..40).map(|at| shift(at, 60 - at)).collect::<Vec<_>>()
        })
        .collect();
    let mean = moved.iter().sum::<f64>() / moved.len() as f64;
    let deviation = (moved.iter().map(|x| x * x).sum::<f64>() / moved.len() as f64).sqrt();
    // Uniform noise of deviation 60 / sqrt(12), over the square root of the bell's area: 2 sqrt(pi) sigma.
    let truth = 60.0 / 12.0_f64.sqrt() / (2.0 * std::f64::consts::PI.sqrt() * 3.0);
    assert!(mean.abs() < 0.5 && (0.8 * truth..1.2 * truth).contains(&deviation), "{mean}, {deviation}, not {truth}");
}

#[test]
fn options_out_of_range_are_named() {
    for (text, expected) in [
        ("[{ random-resized-crop = { scale = [0.0, 1.0] } }]", "`a.0.random-resized-crop.scale.0`"),
        ("[{ random-resized-crop = { ratio = [2.0, 1.0] } }]", "`a.0.random-resized-crop.ratio.1`"),
        ("[{ shear = { x = 90 } }]", "`a.0.shear.x`"),
        ("[{ perspective = { distortion = 1.0 } }]", "`a.0.perspective.distortion`"),
        ("[{ color-jitter = { hue = 0.6 } }]", "`a.0.color-jitter.hue`: 0.6 is not within 0 to 0.5"),
        ("[{ invert = { probability = 2 } }]", "`a.0.invert.probability`"),
        ("[{ posterize = { bits = 9 } }]", "`a.0.posterize.bits`"),
        ("[{ sharpness = { factor = -1 } }]", "`a.0.sharpness.factor`"),
        ("[{ gaussian-blur = { sigma = [2, 1] } }]", "`a.0.gaussian-blur.sigma.1`"),
        ("[{ gaussian-noise = { sigma = 2 } }]", "`a.0.gaussian-noise.sigma`"),
        ("[{ random-erasing = { scale = [0.5, 1.5] } }]", "`a.0.random-erasing.scale.1`"),
        ("[{ cutout = { size = 0 } }]", "`a.0.cutout.size`"),
        ("[{ rand-augment = { magnitude = 31 } }]", "`a.0.rand-augment.magnitude`"),
        ("[{ aug-mix = { severity = 0 } }]", "`a.0.aug-mix.severity`"),
        ("[{ aug-mix = { alpha = 0 } }]", "`a.0.aug-mix.alpha`"),
        ("[{ elastic = { sigma = 0 } }]", "`a.0.elastic.sigma`"),
        ("[{ jpeg-artefacts = { quality = [60, 50] } }]", "`a.0.jpeg-artefacts.quality.1`"),
    ] {
        let error = toml::from_str::<Train>(&format!("augment = {text}")).unwrap().augment.check("a").unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
}
