<<<<<<< HEAD
#include <cstdio>
#include <cstdlib>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"

namespace holdfast::cli {
namespace {

const std::vector<Flag> kGlobalFlags = {
    {"servers", "HOST:PORT,...", "client addresses; default $HOLDFAST_SERVERS or 127.0.0.1:7411"},
    {"admin", "HOST:PORT,...",
     "administration addresses; default $HOLDFAST_ADMIN or 127.0.0.1:7413"},
    {"timeout", "DURATION", "how long to look for a server that can answer; default 10s"},
    {"json", nullptr, "one JSON document instead of a table"},
    {"help", nullptr, "explain the command"},
};

void print_flags(const std::vector<Flag>& flags) {
  for (const Flag& flag : flags) {
    std::string left = std::string("--") + flag.name;
    if (flag.value != nullptr) left += std::string(" ") + flag.value;
    std::printf("  %-28s %s\n", left.c_str(), flag.help);
  }
}

void print_overview() {
  std::printf(
      "holdfast: locks, elections and sessions of a Holdfast cluster\n\n"
      "  holdfast lock /jobs/nightly -- ./nightly.sh      run a command while holding a lock\n"
      "  holdfast lock describe /jobs/nightly             who holds it, who waits, why it ended\n"
      "  holdfast status                                  how the servers are\n\nCommands:\n");
  for (const Command& command : commands()) {
    std::printf("  %-16s %s\n", command.name.c_str(), command.summary.c_str());
  }
  std::printf("\nFlags of every command:\n");
  print_flags(kGlobalFlags);
  std::printf(
      "\n`holdfast COMMAND --help` explains a command, with examples.\n"
      "Exit codes: 0 done; 64 wrong usage; 65 refused; 69 no server can answer; 70 outcome "
      "unknown;\n"
      "75 lock not granted; 76 lock lost; of `lock` and `elect` else the command's own.\n");
}

void print_help(const Command& command) {
  std::printf("holdfast %s %s\n\n%s\n", command.name.c_str(), command.usage.c_str(),
              command.text.c_str());
  if (!command.flags.empty()) {
    std::printf("\nFlags:\n");
    print_flags(command.flags);
  }
  std::printf("\nFlags of every command:\n");
  print_flags(kGlobalFlags);
}

int usage_error(const std::string& message, const std::string& command) {
  std::fprintf(stderr, "holdfast: %s; see holdfast %s%s--help\n", message.c_str(), command.c_str(),
               command.empty() ? "" : " ");
  return kExitUsage;
}

/// The command named by the first words that are no flags. Two words win over one, but a path is
/// never the second word of a name.
const Command* find_command(const std::vector<std::string>& words, size_t* used) {
  for (const size_t count : {size_t{2}, size_t{1}}) {
    if (words.size() < count) continue;
    const std::string name = count == 2 ? words[0] + " " + words[1] : words[0];
    for (const Command& command : commands()) {
      if (command.name != name) continue;
      *used = count;
=======
#include <algorithm>
#include <cstdio>

#include "clients/cli/cluster.h"
#include "clients/cli/command.h"
#include "clients/cli/output.h"

namespace holdfast::cli {

namespace {

std::vector<Command> all_commands() {
  std::vector<Command> all;
  for (auto group : {lock_commands(), look_commands(), operate_commands(), log_commands()}) {
    std::move(group.begin(), group.end(), std::back_inserter(all));
  }
  return all;
}

void print_options(const std::vector<OptionSpec>& options) {
  for (const OptionSpec& option : options) {
    std::string name = std::string("--") + option.name;
    if (option.value != nullptr) name += std::string(" ") + option.value;
    std::printf("  %-26s %s\n", name.c_str(), option.help);
  }
}

int print_overview() {
  std::printf("holdfast: locks, elections and sessions of a Holdfast cluster\n\n");
  for (const Command& command : all_commands()) {
    std::printf("  %-17s %s\n", command.name.c_str(), command.summary.c_str());
  }
  std::printf("\n`holdfast COMMAND --help` explains a command. Every command takes:\n");
  print_options(common_options());
  return kDone;
}

int print_help(const Command& command) {
  std::printf("holdfast %s %s\n\n%s.\n\n%s", command.name.c_str(), command.usage.c_str(),
              command.summary.c_str(), command.details.c_str());
  if (!command.options.empty()) {
    std::printf("\nOptions:\n");
    print_options(command.options);
  }
  std::printf("\nEvery command takes:\n");
  print_options(common_options());
  return kDone;
}

/// The command whose name the words begin with, the longest first; how many words that took.
const Command* find(const std::vector<Command>& commands, const std::vector<std::string>& words,
                    size_t* taken) {
  for (size_t count = std::min<size_t>(2, words.size()); count > 0; --count) {
    const std::string name = count == 2 ? words[0] + " " + words[1] : words[0];
    for (const Command& command : commands) {
      if (command.name != name) continue;
      *taken = count;
>>>>>>> 6cf7560 (Add the holdfast command: lock, elect, locks, sessions, status, log and what operators need)
      return &command;
    }
  }
  return nullptr;
}

<<<<<<< HEAD
/// Every flag of every command: enough to tell words from values before the command is known.
std::vector<Flag> all_flags() {
  std::vector<Flag> flags = kGlobalFlags;
  for (const Command& command : commands()) {
    flags.insert(flags.end(), command.flags.begin(), command.flags.end());
  }
  return flags;
}

std::string from_environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

Result<Context> make_context(const Args& args) {
  Context context;
  context.servers =
      split_list(args.get("servers", from_environment("HOLDFAST_SERVERS", "127.0.0.1:7411")));
  context.admins =
      split_list(args.get("admin", from_environment("HOLDFAST_ADMIN", "127.0.0.1:7413")));
  const auto timeout = parse_duration(args.get("timeout", "10s"));
  if (!timeout) return timeout.error();
  context.timeout = *timeout;
  context.json = args.has("json");
  return context;
}

}  // namespace

int run(const std::vector<std::string>& argv) {
  const auto first = parse_args(argv, all_flags());
  if (!first) return usage_error(first.error().message, "");
  if (first->words.empty() || first->words[0] == "help") {
    print_overview();
    return first->words.empty() && !first->has("help") ? kExitUsage : kExitOk;
  }
  size_t used = 0;
  const Command* command = find_command(first->words, &used);
  if (command == nullptr) {
    return usage_error("there is no command \"" + first->words[0] + "\"", "");
  }
  std::vector<Flag> flags = kGlobalFlags;
  flags.insert(flags.end(), command->flags.begin(), command->flags.end());
  auto args = parse_args(argv, flags);
  if (!args) return usage_error(args.error().message, command->name);
  if (args->has("help")) {
    print_help(*command);
    return kExitOk;
  }
  args->words.erase(args->words.begin(), args->words.begin() + static_cast<long>(used));
  const auto context = make_context(*args);
  if (!context) return usage_error(context.error().message, command->name);
  return command->run(*args, *context);
=======
}  // namespace

int run(const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "help") return print_overview();
  const std::vector<Command> commands = all_commands();
  size_t taken = 0;
  const Command* command = find(commands, words, &taken);
  if (command == nullptr) {
    std::fprintf(stderr, "holdfast: there is no command '%s'; see holdfast --help\n",
                 words[0].c_str());
    return kUsage;
  }
  std::vector<OptionSpec> options = command->options;
  options.insert(options.end(), common_options().begin(), common_options().end());
  const std::vector<std::string> rest(words.begin() + static_cast<ptrdiff_t>(taken), words.end());
  const auto arguments = Arguments::parse(rest, options);
  if (!arguments.ok()) {
    std::fprintf(stderr, "holdfast: %s; see holdfast %s --help\n",
                 arguments.error().message.c_str(), command->name.c_str());
    return kUsage;
  }
  if (arguments->has("help")) return print_help(*command);
  return command->run(*arguments);
>>>>>>> 6cf7560 (Add the holdfast command: lock, elect, locks, sessions, status, log and what operators need)
}

}  // namespace holdfast::cli
