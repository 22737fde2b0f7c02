//! wrk, and what it prints.

use std::process::Command;
use std::time::Duration;

/// One closed loop: each connection asks again when it was answered.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    pub url: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub connections: usize,
    pub duration: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Printed {
    pub requests: f64,
    pub per_second: f64,
    /// In milliseconds.
    pub ninety_ninth: f64,
}

impl Load<'_> {
    /// On the core that the harness itself is bound to.
    pub fn run(&self) -> Printed {
        let mut command = Command::new("wrk");
        command.args(["-t1", "--latency", "--timeout", "30s"]);
        command.arg(format!("-c{}", self.connections));
        command.arg(format!("-d{}s", self.duration.as_secs().max(1)));
        for (name, value) in self.headers {
            command.arg("-H").arg(format!("{name}: {value}"));
        }
        let output = command.arg(self.url).output();
        let output = output.unwrap_or_else(|fault| panic!("wrk can not be run: {fault}"));
        let text = String::from_utf8_lossy(&output.stdout);
        parse(&text).unwrap_or_else(|fault| panic!("{}: {fault}:\n{text}", self.url))
    }
}

/// An answer that is not the wanted one makes the whole run worthless.
fn parse(text: &str) -> Result<Printed, String> {
    if let Some(line) = text.lines().find(|line| line.contains("Non-2xx")) {
        return Err(line.trim().to_owned());
    }
    if let Some(line) = text.lines().find(|line| line.contains("Socket errors")) {
        let counts =
            line.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u64>().ok());
        if counts.sum::<u64>() > 0 {
            return Err(line.trim().to_owned());
        }
    }
    let word = |mark: &str, at: usize| {
        let line = text.lines().find(|line| line.contains(mark))?;
        line.split_whitespace().nth(at)
    };
    let number = |mark, at| {
        word(mark, at).and_then(|word| word.parse::<f64>().ok()).ok_or(format!("no {mark:?}"))
    };
    let ninety_ninth = text.lines().find_map(|line| line.trim_start().strip_prefix("99% "));
    Ok(Printed {
        requests: number("requests in", 0)?,
        per_second: number("Requests/sec:", 1)?,
        ninety_ninth: ninety_ninth.and_then(milliseconds).ok_or("no \"99%\"")?,
    })
}

fn milliseconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        "m" => 60_000.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
Running 2s test @ http://127.0.0.1:1/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   351.99us   99.31us   3.20ms   99.99%
    Req/Sec    45.10k     1.20k   46.00k    90.00%
  Latency Distribution
     50%  341.00us
     75%  360.00us
     90%  371.00us
     99%  512.00us
  94210 requests in 2.10s, 1.37GB read
Requests/sec:  44862.10
Transfer/sec:    667.31MB
";

    #[test]
    fn what_wrk_prints_is_read() {
        let expected = Printed { requests: 94210.0, per_second: 44862.10, ninety_ninth: 0.512 };
        assert_eq!(parse(PRINTED), Ok(expected));
        assert_eq!(milliseconds("1.50s"), Some(1500.0));
        assert_eq!(milliseconds("2.00m"), Some(120_000.0));
        assert_eq!(milliseconds("17"), None);
    }

    #[test]
    fn a_run_with_errors_counts_for_nothing() {
        let refused = format!("{PRINTED}  Non-2xx or 3xx responses: 12\n");
        assert!(parse(&refused).unwrap_err().contains("12"));
        let reset = format!("{PRINTED}  Socket errors: connect 0, read 3, write 0, timeout 0\n");
        assert!(parse(&reset).unwrap_err().contains("read 3"));
        assert!(parse("unable to connect to 127.0.0.1:1").is_err());
    }
}
