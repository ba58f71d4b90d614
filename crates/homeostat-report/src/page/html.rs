//! Markup in which text from outside cannot become markup: templates are literals, and what fills them is escaped.

/// A piece of markup that is sound by construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Html(String);

/// What may stand in a template's `{}`, within text and within quoted attributes.
pub(super) trait Show {
    fn show(&self, out: &mut String);
}

impl Html {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// [`put`](Self::put) into nothing.
    pub(super) fn of(template: &'static str, values: &[&dyn Show]) -> Self {
        let mut html = Self::new();
        html.put(template, values);
        html
    }

    /// Appends `template`, with each `{}` replaced by the next of `values`.
    pub(super) fn put(&mut self, template: &'static str, values: &[&dyn Show]) {
        let mut pieces = template.split("{}");
        assert_eq!(template.matches("{}").count(), values.len(), "values for {template:?}");
        self.0.extend(pieces.next());
        for (piece, value) in pieces.zip(values) {
            value.show(&mut self.0);
            self.0.push_str(piece);
        }
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl Show for Html {
    fn show(&self, out: &mut String) {
        out.push_str(&self.0);
    }
}

/// Escaped. Control characters, which HTML forbids, become the replacement character.
impl Show for str {
    fn show(&self, out: &mut String) {
        for character in self.chars() {
            match character {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                '\n' | '\t' => out.push(character),
                _ if character.is_control() => out.push('\u{fffd}'),
                _ => out.push(character),
            }
        }
    }
}

impl Show for &str {
    fn show(&self, out: &mut String) {
        (**self).show(out);
    }
}

impl Show for String {
    fn show(&self, out: &mut String) {
        self.as_str().show(out);
    }
}

/// A name that may break into lines behind each `_`: names of classes are often one long word.
pub(super) struct Name<'a>(pub(super) &'a str);

impl Show for Name<'_> {
    fn show(&self, out: &mut String) {
        for piece in self.0.split_inclusive('_') {
            piece.show(out);
            if piece.ends_with('_') {
                out.push_str("<wbr>");
            }
        }
    }
}

/// A coordinate or a length, to a tenth. Figures for people are formatted by [`super::figures`].
impl Show for f64 {
    fn show(&self, out: &mut String) {
        assert!(self.is_finite(), "a coordinate is finite");
        let text = format!("{self:.1}");
        out.push_str(text.strip_suffix(".0").unwrap_or(&text));
    }
}

impl Show for usize {
    fn show(&self, out: &mut String) {
        out.push_str(&self.to_string());
    }
}
