#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/version.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/nearest.h"
#include "coordinator/rsm/feature_level.h"

namespace holdfast::cli {
namespace {

const std::vector<Flag> kGlobalFlags = {
    {"json", nullptr, "one JSON document instead of a table"},
    {"help", nullptr, "explain the command"},
    {"servers", "HOST:PORT,...", "client addresses; default $HOLDFAST_SERVERS or 127.0.0.1:7411"},
    {"admin", "HOST:PORT,...",
     "administration addresses; default $HOLDFAST_ADMIN or 127.0.0.1:7413"},
    {"timeout", "DURATION", "how long to look for a server that can answer; default 10s"},
};
constexpr size_t kOfflineFlags = 2;  // the first of them

// The table of docs/install.md in short.
constexpr char kExitCodes[] =
    "Exit codes:\n"
    "  0         done; of `lock`, `elect`, `create --ephemeral` it is the command's own\n"
    "  1         `log`, `snapshot`, `recover`: damage; `txn`: the conditions did not hold;\n"
    "            `status --check`: an alarm, or a server that is not connected\n"
    "  64        the command line is wrong, or a file or directory cannot be read or used\n"
    "  65        a server refused, and says why; a file of a newer program; not confirmed\n"
    "  66        `get`, `ls`, `tree`: there is no such key\n"
    "  69        no server could answer in time, or none had room; `status`: one did not answer\n"
    "  70        the outcome is unknown: it may or may not have been done\n"
    "  73        the output or the file cannot be written\n"
    "  75        `lock`, `elect`: not granted, or nobody leads; the command did not run\n"
    "  76        the lock was lost, or the ephemeral key; the command was stopped\n"
    "  126, 127  the command cannot be run, does not exist\n"
    "  128 + n   signal n ended it\n";

void print_flags(const std::vector<Flag>& flags) {
  for (const Flag& flag : flags) {
    std::string left = std::string("--") + flag.name;
    if (flag.value != nullptr) left += std::string(" ") + flag.value;
    std::printf("  %-28s %s\n", left.c_str(), flag.help);
  }
}

void print_summary(const Command& command) {
  std::printf("  %-16s %s\n", command.name.c_str(), command.summary.c_str());
}

void print_overview() {
  std::printf(
      "holdfast: locks, elections, keys and watches of a Holdfast cluster\n\n"
      "  holdfast lock /jobs/nightly -- ./nightly.sh      run a command while holding a lock\n"
      "  holdfast lock describe /jobs/nightly             who holds it, who waits, why it ended\n"
      "  holdfast put /config '{\"rps\": 100}'              write a key; get, ls, tree, txn, "
      "watch\n"
      "  holdfast status                                  how the servers are\n\nCommands:\n");
  for (const Command& command : commands()) print_summary(command);
  std::printf("\nFlags of every command:\n");
  print_flags(kGlobalFlags);
  std::printf(
      "\n`holdfast COMMAND --help` explains a command, with examples; `holdfast --version` says "
      "which\nversion this is.\n\n%s",
      kExitCodes);
}

void print_help(const Command& command) {
  std::printf("holdfast %s%s%s\n\n%s\n", command.name.c_str(), command.usage.empty() ? "" : " ",
              command.usage.c_str(), command.text.c_str());
  if (!command.flags.empty()) {
    std::printf("\nFlags:\n");
    print_flags(command.flags);
  }
  std::printf("\nFlags of every command:\n");
  print_flags(command.asks == Asks::kNobody
                  ? std::vector<Flag>(kGlobalFlags.begin(), kGlobalFlags.begin() + kOfflineFlags)
                  : kGlobalFlags);
  std::printf("\nExit codes: `holdfast --help` lists them all.\n");
}

/// The commands that begin with a word that is none by itself: " (did you mean session expire?)".
std::string suggestion(const std::string& word) {
  std::string names;
  std::string last;
  for (const Command& command : commands()) {
    if (!command.name.starts_with(word)) continue;
    if (!last.empty()) names += (names.empty() ? "" : ", ") + last;
    last = command.name;
  }
  if (last.empty()) return "";
  return " (did you mean " + names + (names.empty() ? "" : " or ") + last + "?)";
}

bool is_group(const std::string& word) {
  return std::ranges::any_of(
      commands(), [&](const Command& command) { return command.name.starts_with(word + " "); });
}

/// "holdfast member --help": the commands that begin so.
void print_group(const std::string& word) {
  for (const Command& command : commands()) {
    if (command.name.starts_with(word + " ")) print_summary(command);
  }
  std::printf("\n`holdfast COMMAND --help` explains one of them, with examples.\n");
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
      return &command;
    }
  }
  return nullptr;
}

std::string meant(const std::string& name) {
  return name.empty() ? "" : " (did you mean " + name + "?)";
}

/// The command that begins with a word, and whose second word somebody may have mistyped so.
std::string nearest_of_group(const std::string& group, const std::string& typed) {
  std::vector<std::string> seconds;
  for (const Command& command : commands()) {
    if (command.name.starts_with(group + " ")) {
      seconds.push_back(command.name.substr(group.size() + 1));
    }
  }
  const std::string second = nearest(typed, seconds);
  return second.empty() ? "" : group + " " + second;
}

/// The command, or the beginning of some, that may be meant by words of which the first is none.
std::string nearest_command(const std::vector<std::string>& words) {
  std::vector<std::string> firsts;
  for (const Command& command : commands()) {
    firsts.push_back(command.name.substr(0, command.name.find(' ')));
  }
  const std::string first = nearest(words[0], firsts);
  if (first.empty() || !is_group(first) || words.size() < 2) return first;
  const std::string both = nearest_of_group(first, words[1]);
  return both.empty() ? first : both;
}

/// As the user may have meant it: "member foo" where there are commands that begin with "member".
std::string unknown_command(const std::vector<std::string>& words) {
  if (!is_group(words[0])) {
    return "there is no command \"" + words[0] + "\"" + meant(nearest_command(words));
  }
  const std::string name = words.size() > 1 ? words[0] + " " + words[1] : words[0];
  const std::string near = words.size() > 1 ? nearest_of_group(words[0], words[1]) : "";
  return "there is no command \"" + name + "\"" +
         (near.empty() ? suggestion(words[0]) : meant(near));
}

/// `lock desribe /x` is no path: the command that may be meant.
std::string mistaken_for_a_path(const Command& command, const std::vector<std::string>& words) {
  const bool word = words.size() > 1 && !words[1].starts_with('/');
  return word && command.name == words[0] ? nearest_of_group(words[0], words[1]) : "";
}

std::vector<Flag> flags_of(const Command& command) {
  std::vector<Flag> flags = kGlobalFlags;
  flags.insert(flags.end(), command.flags.begin(), command.flags.end());
  return flags;
}

/// Every flag of every command: enough to tell words from values before the command is known.
std::vector<Flag> all_flags() {
  std::vector<Flag> flags = kGlobalFlags;
  for (const Command& command : commands()) {
    flags.insert(flags.end(), command.flags.begin(), command.flags.end());
  }
  return flags;
}

/// The addresses of a flag, else of a variable of the environment, else of the first server.
Result<std::vector<std::string>> addresses_of(const Args& args, const std::string& flag,
                                              const char* variable, const char* port) {
  if (args.has(flag)) return parse_addresses("--" + flag, args.get(flag), port);
  const char* value = std::getenv(variable);
  const bool set = value != nullptr && *value != '\0';
  return parse_addresses(variable, set ? value : "127.0.0.1", port);
}

Result<Context> make_context(const Args& args, Asks asks) {
  Context context;
  if (asks == Asks::kClientPort) {
    auto servers = addresses_of(args, "servers", "HOLDFAST_SERVERS", "7411");
    if (!servers) return servers.error();
    context.servers = std::move(*servers);
  } else if (asks == Asks::kAdminPort) {
    auto admins = addresses_of(args, "admin", "HOLDFAST_ADMIN", "7413");
    if (!admins) return admins.error();
    context.admins = std::move(*admins);
  }
  const auto timeout = parse_duration("--timeout", args.get("timeout", "10s"));
  if (!timeout) return timeout.error();
  if (*timeout == Duration(0)) {
    return Error{ErrorCode::kBadArgument,
                 "--timeout is \"" + args.get("timeout") + "\", in which no server can answer"};
  }
  context.timeout = *timeout;
  context.json = args.has("json");
  return context;
}

/// A command line that cannot be read is judged by what stands before its first flag: what that
/// command knows, and its help.
int unreadable(const std::vector<std::string>& argv, const Error& error) {
  const auto end =
      std::ranges::find_if(argv, [](const std::string& word) { return word.starts_with('-'); });
  const std::vector<std::string> words(argv.begin(), end);
  size_t used = 0;
  if (const Command* command = find_command(words, &used); command != nullptr) {
    const auto args = parse_args(argv, flags_of(*command));
    return usage_error(args ? error.message : args.error().message, command->name);
  }
  return usage_error(error.message, !words.empty() && is_group(words[0]) ? words[0] : "");
}

// Alone: with a command --version is that of a key.
int run_command(const std::vector<std::string>& argv) {
  if (argv == std::vector<std::string>{"--version"}) {
    std::printf("holdfast %s\n", version_text(rsm::kFeatureLevel).c_str());
    return kExitOk;
  }
  const auto first = parse_args(argv, all_flags());
  if (!first) return unreadable(argv, first.error());
  if (first->words.empty() || first->words[0] == "help") {
    print_overview();
    return first->words.empty() && !first->has("help") ? kExitUsage : kExitOk;
  }
  size_t used = 0;
  const Command* command = find_command(first->words, &used);
  if (command == nullptr && first->has("help") && is_group(first->words[0])) {
    print_group(first->words[0]);
    return kExitOk;
  }
  if (command == nullptr) {
    return usage_error(unknown_command(first->words), "");
  }
  auto args = parse_args(argv, flags_of(*command));
  if (!args) return usage_error(args.error().message, command->name);
  if (args->has("help")) {
    print_help(*command);
    return kExitOk;
  }
  if (const std::string near = mistaken_for_a_path(*command, args->words); !near.empty()) {
    return usage_error("path \"" + args->words[1] + "\" does not begin with /" + meant(near), "");
  }
  if (args->has_command && command->more_words) {
    args->literal = true;
    std::ranges::move(args->command, std::back_inserter(args->words));
  } else if (args->has_command && !command->runs_command) {
    return usage_error("nothing runs what stands behind --", command->name);
  }
  args->words.erase(args->words.begin(), args->words.begin() + static_cast<long>(used));
  const auto context = make_context(*args, command->asks);
  if (!context) return usage_error(context.error().message, command->name);
  return command->run(*args, *context);
}

}  // namespace

// Half an answer must not look like a whole one.
int run(const std::vector<std::string>& argv) {
  const int code = run_command(argv);
  return output_taken() ? code : kExitCannotWrite;
}

}  // namespace holdfast::cli
