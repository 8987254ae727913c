// get, put, create.
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/ephemeral_runner.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/key_args.h"
#include "clients/cli/key_json.h"
#include "clients/cli/table.h"

namespace holdfast::cli {
namespace {

using nlohmann::json;

Error bad(std::string message) { return {ErrorCode::kBadArgument, std::move(message)}; }

void print_stat(const api::KeyEntry& key) {
  const api::KeyStat& stat = key.stat;
  const auto row = [](const char* name, const std::string& text) {
    std::printf("%-10s %s\n", name, text.c_str());
  };
  row("path", printable(key.path));
  row("kind", kind_name(stat.kind));
  if (stat.ephemeralOwner != 0) row("session", std::to_string(stat.ephemeralOwner));
  if (stat.ttlMs != 0) row("ttl", format_ms(stat.ttlMs));
  row("version", std::to_string(stat.version));
  row("created",
      format_time(stat.createdUnixMs) + ", revision " + std::to_string(stat.createRevision));
  row("modified",
      format_time(stat.modifiedUnixMs) + ", revision " + std::to_string(stat.modifyRevision));
  std::string children = std::to_string(stat.childCount);
  if (stat.childrenRevision != 0) {
    children += ", version " + std::to_string(stat.childrenVersion) + ", revision " +
                std::to_string(stat.childrenRevision);
  }
  row("children", children);
  row("bytes", std::to_string(stat.valueBytes));
}

/// The bytes as they are; on a terminal a line of its own.
void print_value(const std::string& value) {
  std::fwrite(value.data(), 1, value.size(), stdout);
  if (isatty(STDOUT_FILENO) == 1 && !value.ends_with('\n')) std::printf("\n");
}

Result<api::CreateRequest> make_create(const Args& args) {
  const auto path = key_path(args, false);
  if (!path) return path.error();
  const int kinds = args.has("ephemeral") + args.has("container") + args.has("ttl");
  if (kinds > 1) return bad("--ephemeral, --container and --ttl exclude each other");
  if (args.has("ephemeral") && args.command.empty()) {
    return bad("--ephemeral needs a command behind --: the key goes when that ends");
  }
  if (!args.has("ephemeral") && args.has_command) return bad("a command needs --ephemeral");
  if (!args.has("ephemeral") && args.has("session-ttl")) {
    return bad("--session-ttl needs --ephemeral: other keys belong to no session");
  }
  api::CreateRequest request;
  request.path = *path;
  request.sequential = args.has("sequential");
  request.makeParents = args.has("parents");
  if (args.has("ephemeral")) request.kind = api::KeyKind::EPHEMERAL;
  if (args.has("container")) request.kind = api::KeyKind::CONTAINER;
  if (args.has("ttl")) {
    const auto ttl = parse_duration("--ttl", args.get("ttl"));
    if (!ttl) return ttl.error();
    request.kind = api::KeyKind::TTL;
    request.ttlMs = to_ms(*ttl);
  }
  // A command behind -- may want standard input itself.
  const bool given = args.words.size() > 1 || args.has("file");
  if (args.has_command && !given) return request;
  // A container is there for its children: mostly it has no value of its own.
  auto value = read_value(args, args.has("container") ? IfNone::kEmpty : IfNone::kRefused);
  if (!value) return value.error();
  request.value = std::move(*value);
  return request;
}

/// Version 0, by which the servers are told of --new, is none that a user has heard of.
client::CallError in_words_of(const Args& args, const std::string& path,
                              client::CallError refusal) {
  if (args.has("new") && refusal.code == ErrorCode::kBadVersion) {
    refusal.message = "there is a key " + path + " already; --new writes only where there is none";
  }
  return refusal;
}

int run_ephemeral(const Args& args, const Context& context, api::CreateRequest request) {
  const auto ttl = parse_duration("--session-ttl", args.get("session-ttl", "10s"));
  if (!ttl) return report(ttl.error());
  EphemeralRunner runner(context, {std::move(request), *ttl, args.command});
  return runner.run();
}

}  // namespace

int get_command(const Args& args, const Context& context) {
  if (const Status status = only_a_path(args); !status) return report(status.error());
  const auto path = key_path(args, true);
  if (!path) return report(path.error());
  const auto least = min_revision_of(args);
  if (!least) return report(least.error());
  auto remote = Remote::connect(context.servers, context.timeout, true);
  if (!remote) return report(remote.error());
  api::GetRequest request;
  request.path = *path;
  request.statOnly = args.has("long") && !context.json;
  request.consistency = consistency_of(args);
  const auto answer = (*remote)->read<client::GetKey>(request, *least);
  if (!answer) return report(answer.error());
  if (!answer->found) return no_key(*path);
  if (context.json) {
    print_json(to_json(answer->key, true));
  } else if (args.has("long")) {
    print_stat(answer->key);
  } else {
    print_value(answer->key.value);
  }
  return kExitOk;
}

int put_command(const Args& args, const Context& context) {
  const auto path = key_path(args, false);
  if (!path) return report(path.error());
  if (args.has("new") && args.has("version")) {
    return report(bad("--new and --version exclude each other"));
  }
  if (args.get("version") == "0") {
    return report(
        bad("--version is \"0\", which no key has: --new writes only where there is none"));
  }
  const auto version = version_of(args);
  if (!version) return report(version.error());
  auto value = read_value(args);
  if (!value) return report(value.error());
  api::PutRequest request;
  request.path = *path;
  request.value = std::move(*value);
  request.expectedVersion = args.has("new") ? -1 : *version;
  request.makeParents = args.has("parents");
  auto remote = Remote::connect(context.servers, context.timeout, true);
  if (!remote) return report(remote.error());
  const auto answer = (*remote)->write<client::PutKey>(std::move(request));
  if (!answer) return report(in_words_of(args, *path, answer.error()));
  if (context.json) {
    print_json({{"path", *path}, {"version", answer->version}, {"revision", answer->revision}});
  } else {
    std::printf("%s version %lld\n", path->c_str(), static_cast<long long>(answer->version));
  }
  return kExitOk;
}

int create_command(const Args& args, const Context& context) {
  auto request = make_create(args);
  if (!request) return report(request.error());
  if (args.has("ephemeral")) return run_ephemeral(args, context, std::move(*request));
  auto remote = Remote::connect(context.servers, context.timeout, true);
  if (!remote) return report(remote.error());
  const auto answer = (*remote)->write<client::CreateKey>(std::move(*request));
  if (!answer) {
    client::CallError refusal = answer.error();
    refusal.message = renamed(refusal.message, {{"ttlMs", "--ttl in ms"}});
    return report(refusal);
  }
  if (context.json) {
    print_json({{"path", answer->path}, {"revision", answer->revision}});
  } else {
    std::printf("%s\n", answer->path.c_str());
  }
  return kExitOk;
}

}  // namespace holdfast::cli
