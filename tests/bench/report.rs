//! The whole outcome as Markdown, and its place in docs/benchmarks.md.

use std::fmt::Write as _;

use crate::bars::{self, judge};
use crate::ground::Ground;
use crate::machine::{self, Machine};
use crate::results::Results;
use crate::rows::{ROWS, hot, record};
use crate::servers::{Wanted, garth, nora, verdaccio};
use crate::table;

const BEGIN: &str = "<!-- npm: written by ./dev bench npm --write -->";
const END: &str = "<!-- npm: end -->";

pub fn text(ground: &Ground, machine: &Machine, results: &Results) -> String {
    let mut text = String::from("## npm\n\n");
    text.push_str(&preface(ground, machine));
    let judged: Vec<_> = ROWS
        .iter()
        .filter(|row| results.places(row.name).next().is_some())
        .flat_map(|row| bars::of_row(row.name))
        .map(|bar| judge(results, &bar))
        .collect();
    let _ = write!(text, "\n### Bars\n\n{}", table::bar_table(&judged));
    for row in &ROWS {
        if results.places(row.name).next().is_some() {
            let rows = table::row_table(results, row.name);
            let _ = write!(text, "\n### {}\n\n{rows}", row.title);
        }
    }
    text
}

fn preface(ground: &Ground, machine: &Machine) -> String {
    let kilobytes = |wanted| {
        let length = ground.mirrored_length(wanted);
        #[allow(clippy::cast_precision_loss, reason = "some megabytes")]
        table::number(length as f64 / 1e3)
    };
    #[allow(clippy::cast_precision_loss, reason = "some megabytes")]
    let large = table::number(ground.corpus.large_bytes as f64 / 1e6);
    let missing = |server: &str, found: &Result<_, String>| match found {
        Err(cause) if !cause.is_empty() => format!(" {server} is not there: {cause}."),
        _ => String::new(),
    };
    let warning = if ground.quick { " **Run with --quick: these are no figures.**" } else { "" };
    format!(
        "`./dev bench npm`, {date}, {cores} shared cores ({processor}), Linux {kernel}.{warning} \
Medians of {runs} interleaved runs, with the least and the most. One server runs at a time, bound to one core, \
so garth has one worker; load generator and origin are bound to the other. Hot rows: wrk, {connections} connections \
kept open, {seconds} s after 1 s of warming up; CPU is that of all the server's processes, from /proc; p99 is at full load. \
The packument has {small} KB, the large one {large} MB and as gzip {packed} KB, the tarball {tarball} KB; nginx serves \
the very bytes that garth answers with.\n\
\n\
garth enforces rules, {rules} more than those that allow these packages; its log is at its default (info: a line for each \
request, to a file). nginx {nginx} writes its access log to a file, as Debian sets it up, with gzip_static. Verdaccio {verdaccio} \
(node {node}) and nora-registry {nora} have their own defaults, but nora no limit of requests and both no reason to ask the \
origin again; what they answer with is their own form of the same document.{no_verdaccio}{no_nora} New packages are asked for by {clients} clients; \
the disk makes {durable} small writes durable in a second, one after the other.\n",
        date = machine.date,
        cores = machine.cores,
        processor = machine.processor,
        kernel = machine.kernel,
        runs = ground.runs,
        connections = hot::CONNECTIONS,
        seconds = ground.load.as_secs(),
        small = kilobytes(Wanted::Packument),
        packed = kilobytes(Wanted::Large),
        tarball = kilobytes(Wanted::Tarball),
        rules = garth::OTHER_RULES,
        nginx = machine::version("nginx", "-v"),
        verdaccio = verdaccio::VERSION,
        node = machine::version("node", "--version"),
        nora = nora::VERSION,
        no_verdaccio = missing("Verdaccio", &ground.verdaccio),
        no_nora = missing("nora-registry", &ground.nora),
        clients = record::CLIENTS,
        durable = table::number(machine::durable_writes(&ground.directory)),
    )
}

/// `page` with `text` between the marks; at its end, if it has none yet.
pub fn placed(page: &str, text: &str) -> String {
    let block = format!("{BEGIN}\n{}\n{END}", text.trim_end());
    match (page.find(BEGIN), page.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            format!("{}{block}{}", &page[..begin], &page[end + END.len()..])
        }
        _ => format!("{}\n\n{block}\n", page.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_one_before() {
        let page = "# Benchmarks\n\n## Deciding\n";
        let once = placed(page, "## npm\nold\n");
        assert_eq!(once, format!("# Benchmarks\n\n## Deciding\n\n{BEGIN}\n## npm\nold\n{END}\n"));
        let behind = format!("{once}\n## More\n");
        let twice = placed(&behind, "## npm\nnew\n");
        assert_eq!(twice, behind.replace("old", "new"));
        assert_eq!(placed(&twice, "## npm\nnew\n"), twice);
    }
}
