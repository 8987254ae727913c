// What `holdfast` prints: aligned tables for people, JSON for programs.
#pragma once

#include <string>
#include <vector>

#include "clients/cpp/outcome.h"

namespace holdfast::cli {

/// How `holdfast` ends, beside the exit code of a child; documented in docs/cli.md.
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,       ///< the cluster refused or could not be reached
  kUsage = 2,        ///< the command line is wrong
  kNotGranted = 75,  ///< --try or --wait ended without the lock
  kLost = 76,        ///< the lock was lost while the child ran, which was stopped
  kNoChild = 127,    ///< the child's program could not be started
};

/// Rows of cells under a header, columns aligned.
void print_table(const std::vector<std::string>& header,
                 const std::vector<std::vector<std::string>>& rows);

/// One line on standard error; returns kFailed.
int fail(const client::CallError& error);

/// "3.2 s", "2 min", "14 h": a length of time for people.
std::string human_ms(int64_t ms);
/// "2026-11-23 10:15:00", local time; "-" for 0.
std::string human_time(int64_t unix_ms);
/// Bytes of a value as text, others as \xNN.
std::string printable(const std::string& bytes);

}  // namespace holdfast::cli
