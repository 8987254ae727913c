// Command lines and flag files for the flags that gflags registers. Its own parser ends the process
// with a line of its own at the first mistake, ignores unknown names in flag files, and its help is
// sixty flags of its own and of the logging library: here a mistake is a value and help is short.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace holdfast::server {

/// Sets the flags that `words` name, as --name=value, --name value, or --name and --noname for
/// those that are true or false; --flagfile=FILE reads more, one a line. BAD_ARGUMENT names the
/// flag, its value and what it must be, and of a file the line.
Status set_flags(const std::vector<std::string>& words);

/// For people: every flag that is defined in the source file with this name, with its default.
std::string describe_flags(const std::string& file_name);

}  // namespace holdfast::server
