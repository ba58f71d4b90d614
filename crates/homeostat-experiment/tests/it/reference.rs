//! The reference page is the doc comments of the structs. `UPDATE_EXPECT=1` writes it anew.

use expect_test::expect_file;

#[test]
fn the_reference_page_is_up_to_date() {
    expect_file!["../../../../docs/reference/experiment.md"].assert_eq(&homeostat_experiment::reference_page());
}

#[test]
fn the_reference_page_explains_every_table_and_every_short_form() {
    let page = homeostat_experiment::reference_page();
    for key in ["`seed`", "`label-smoothing`", "`accumulate`", "`max-rewinds`", "| `epochs` | `train.epochs` |"] {
        assert!(page.contains(key), "{key} is missing");
    }
}
