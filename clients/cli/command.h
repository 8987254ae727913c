// The commands of `holdfast`: one table from which dispatch and help are made.
#pragma once

#include <string>
#include <vector>

#include "clients/cli/arguments.h"

namespace holdfast::cli {

struct Command {
  std::string name;                 ///< one or two words: "status", "lock describe"
  std::string usage;                ///< what stands behind the name
  std::string summary;              ///< one line
  std::string details;              ///< help's text, with examples
  std::vector<OptionSpec> options;  ///< beside the common ones
  int (*run)(const Arguments& arguments);
};

std::vector<Command> lock_commands();  ///< lock, elect
std::vector<Command> look_commands();  ///< locks, lock describe, sessions, status, members
std::vector<Command>
operate_commands();                   ///< lock revoke, session expire, settings, transfer-leader
std::vector<Command> log_commands();  ///< log inspect, log verify

/// Runs what `words` (without the program's name) ask for; the exit code.
int run(const std::vector<std::string>& words);

}  // namespace holdfast::cli
