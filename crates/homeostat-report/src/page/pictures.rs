//! Pictures, embedded in the page, and texts, in a grid.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    figures,
    html::{Html, Name},
};
use crate::{Mistake, Picture, Shown, png::PngHead};

/// More mistakes than this teach nothing new.
const MISTAKES: usize = 32;
/// A picture narrower or lower than this is enlarged in whole pixels.
const TINY: u32 = 96;

/// Training samples as the network saw them.
pub(super) fn augmented(pictures: &[Picture]) -> Html {
    Html::of("<p>Training samples after augmentation.</p>{}", &[&grid(pictures)])
}

/// Pictures with their captions.
pub(super) fn grid(pictures: &[Picture]) -> Html {
    let mut html = Html::of("<div class=\"pictures\">", &[]);
    for item in pictures {
        if item.png.is_empty() {
            html.put("<blockquote>{}</blockquote>", &[&item.caption]);
            continue;
        }
        html.put(
            "<figure title=\"{}\">{}<figcaption>{}</figcaption></figure>",
            &[&item.caption, &picture(&item.png, &item.caption), &Name(&item.caption)],
        );
    }
    html.put("</div>", &[]);
    html
}

/// Sheets of pictures, one below the other, each under its caption.
pub(super) fn sheets(sheets: &[Picture]) -> Html {
    let mut html = Html::new();
    for sheet in sheets {
        html.put(
            "<p>{}</p><figure class=\"sheet\">{}</figure>",
            &[&sheet.caption, &picture(&sheet.png, &sheet.caption)],
        );
    }
    html
}

/// Pictures alone, close together; each tells its caption when it is pointed at.
pub(super) fn strip(pictures: &[Picture]) -> Html {
    let mut html = Html::of("<div class=\"strip\">", &[]);
    for item in pictures {
        html.put("<figure title=\"{}\">{}</figure>", &[&item.caption, &picture(&item.png, &item.caption)]);
    }
    html.put("</div>", &[]);
    html
}

/// The first few mistakes, each with what was said and what it is.
pub(super) fn mistakes(mistakes: &[Mistake]) -> Html {
    let is_text = mistakes.iter().any(|mistake| matches!(mistake.shown, Shown::Text(_)));
    let mut html = Html::of(
        "<p>The errors of which the network was surest, the surest first.</p><div class=\"pictures{}\">",
        &[&if is_text { " texts" } else { "" }],
    );
    for mistake in mistakes.iter().take(MISTAKES) {
        let text = format!("{}: {} taken for {}", mistake.name, mistake.truth, mistake.predicted);
        html.put(
            "<figure>{}<figcaption><span>said <b>{}</b></span>",
            &[&shown(&mistake.shown, &text), &Name(&mistake.predicted)],
        );
        html.put(
            "<span>is <b>{}</b></span><span>{} sure</span>",
            &[&Name(&mistake.truth), &figures::percent(mistake.confidence)],
        );
        html.put("<span class=\"label\" title=\"{}\">{}</span></figcaption></figure>", &[&mistake.name, &mistake.name]);
    }
    html.put("</div>", &[]);
    html
}

fn shown(sample: &Shown, text: &str) -> Html {
    match sample {
        Shown::Picture(png) => picture(png, text),
        Shown::Text(words) => Html::of("<blockquote>{}</blockquote>", &[words]),
    }
}

fn picture(png: &[u8], text: &str) -> Html {
    let Some(head) = PngHead::read(png) else {
        return Html::of("<div class=\"no-picture\">no picture</div>", &[]);
    };
    let class = if head.width.min(head.height) < TINY { "tiny" } else { "" };
    Html::of(
        "<img class=\"{}\" src=\"data:image/png;base64,{}\" alt=\"{}\">",
        &[&class, &BASE64_STANDARD.encode(png), &text],
    )
}
