// snapshot save; snapshot verify, snapshot show: a snapshot in a file, offline.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/snapshot_saver.h"
#include "clients/cli/snapshot_views.h"
#include "clients/cli/table.h"

namespace holdfast::cli {
namespace {

using loading::SnapshotFile;

/// The rows are sound all the same: no server reads a view.
void warn_of_views(const SnapshotFile& file) {
  for (const std::string& view : file.other_views) {
    std::fprintf(stderr,
                 "holdfast: warning: %s: its view \"%s\" is not one that this version makes; what "
                 "it shows need not be what is there\n",
                 file.path.c_str(), printable(view).c_str());
  }
}

Result<SnapshotFile> look_at_one(const Args& args) {
  if (args.words.size() != 1 || args.words[0].empty()) {
    return Error{ErrorCode::kBadArgument, "one FILE is needed, which holdfast snapshot save wrote"};
  }
  auto file = look_at(args.words[0]);
  if (file.ok()) warn_of_views(*file);
  return file;
}

std::string text_of(const raft::Member& member) {
  return "node " + std::to_string(member.id.value) + ", clients " + member.client_address +
         ", peers " + member.peer_address + ", store " + std::to_string(member.store.value);
}

void print(const SnapshotFile& file) {
  Table table({"file", file.path});
  const auto add = [&table](const char* name, uint64_t number) {
    table.add({name, std::to_string(number)});
  };
  add("cluster", file.head.cluster.value);
  add("written by node", file.head.node.value);
  table.add({"written at", format_time(file.head.written_unix_ms)});
  add("revision", file.head.applied.value);
  add("term", file.head.applied_term.value);
  table.add({"digest", snapshot::to_text(file.head.digest)});
  add("sessions", file.sessions);
  add("locks", file.locks);
  add("waiters", file.waiters);
  add("keys", file.keys);
  for (const raft::Member& member : file.members) {
    table.add({"member", printable(text_of(member))});
  }
  table.add({"size", format_bytes(file.bytes)});
  std::printf("%s", table.text().c_str());
}

}  // namespace

int snapshot_save_command(const Args& args, const Context& context) {
  if (args.words.size() != 1 || args.words[0].empty() || args.words[0].ends_with('/')) {
    return report(Error{ErrorCode::kBadArgument, "one FILE is needed, such as /backup/today.db"});
  }
  SnapshotSaver saver(context, {args.words[0], args.has("force"), args.has("local")});
  return saver.run();
}

int snapshot_verify_command(const Args& args, const Context& context) {
  const auto file = look_at_one(args);
  if (!file.ok()) return report_snapshot(file.error());
  if (context.json) {
    print_json(to_json(*file));
  } else {
    std::printf("%s: sound: %s\n", file->path.c_str(), describe(*file).c_str());
  }
  return kExitOk;
}

int snapshot_show_command(const Args& args, const Context& context) {
  const auto file = look_at_one(args);
  if (!file.ok()) return report_snapshot(file.error());
  if (context.json) {
    print_json(to_json(*file));
  } else {
    print(*file);
  }
  return kExitOk;
}

}  // namespace holdfast::cli
