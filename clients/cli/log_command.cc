// log inspect, log verify: a server's log, offline.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/table.h"
#include "raft/storage/data_directory.h"
#include "raft/storage/log_inspect.h"
#include "raft/storage/posix_file_system.h"

namespace holdfast::cli {
namespace {

using nlohmann::json;
using raft::InspectDetail;
using raft::LogInspection;

json to_json(const raft::InspectedBatch& batch) {
  json records = json::array();
  for (const auto& r : batch.records) {
    records.push_back({{"offset", r.offset},
                       {"type", r.type},
                       {"term", r.term},
                       {"index", r.index},
                       {"vote", r.vote},
                       {"payload_bytes", r.payload_bytes}});
  }
  return {{"number", batch.number}, {"offset", batch.offset},
          {"bytes", batch.bytes},   {"record_count", batch.record_count},
          {"whole", batch.whole},   {"records", std::move(records)}};
}

json to_json(const LogInspection& log) {
  json segments = json::array();
  for (const auto& s : log.segments) {
    json batches = json::array();
    for (const auto& batch : s.batches) batches.push_back(to_json(batch));
    segments.push_back({{"file", s.file},
                        {"number", s.number},
                        {"role", s.role},
                        {"file_bytes", s.file_bytes},
                        {"end", s.end},
                        {"batch_count", s.batch_count},
                        {"record_count", s.record_count},
                        {"batches", std::move(batches)}});
  }
  return {{"directory", log.directory},
          {"group", log.group.value},
          {"verdict", raft::verdict_name(log.verdict)},
          {"message", log.message},
          {"first_index", log.first_index},
          {"batch_count", log.batch_count},
          {"record_count", log.record_count},
          {"segments", std::move(segments)}};
}

/// What has neither an identity nor a log is some other directory, and says nothing about damage.
Status is_data_directory(raft::FileSystem& files, const std::string& directory) {
  auto names = files.list(directory);
  if (!names) return Error{ErrorCode::kBadArgument, names.error().to_error().message};
  for (const std::string& name : *names) {
    if (name == "identity" || raft::group_named(name)) return ok_status();
  }
  return Error{ErrorCode::kBadArgument, directory +
                                            " is no server's --data_dir: there is neither "
                                            "an identity file nor a log in it"};
}

Result<std::vector<LogInspection>> inspect(const Args& args, InspectDetail detail) {
  if (args.words.size() != 1 || args.words[0].empty()) {
    return Error{ErrorCode::kBadArgument, "one data directory is needed, a server's --data_dir"};
  }
  raft::PosixFileSystem files;
  if (const Status status = is_data_directory(files, args.words[0]); !status) return status.error();
  return raft::inspect_data_directory(files, args.words[0], detail);
}

int verdict_code(const std::vector<LogInspection>& logs) {
  for (const LogInspection& log : logs) {
    if (log.verdict == LogInspection::Verdict::kDamaged) return kExitDamaged;
  }
  return kExitOk;
}

int report_inspection(const Error& error) {
  if (error.code == ErrorCode::kBadArgument) return report(error);
  std::fprintf(stderr, "holdfast: %s\n", printable(error.message).c_str());
  return kExitDamaged;
}

}  // namespace

int log_inspect_command(const Args& args, const Context& context) {
  const InspectDetail detail = args.has("records")   ? InspectDetail::kRecords
                               : args.has("batches") ? InspectDetail::kBatches
                                                     : InspectDetail::kSegments;
  const auto logs = inspect(args, detail);
  if (!logs) return report_inspection(logs.error());
  if (context.json) {
    json all = json::array();
    for (const LogInspection& log : *logs) all.push_back(to_json(log));
    print_json(all);
  } else {
    for (const LogInspection& log : *logs) std::printf("%s", format_inspection(log).c_str());
  }
  return verdict_code(*logs);
}

int log_verify_command(const Args& args, const Context& context) {
  const auto logs = inspect(args, InspectDetail::kSegments);
  if (!logs) return report_inspection(logs.error());
  json all = json::array();
  for (const LogInspection& log : *logs) {
    all.push_back(to_json(log));
    if (context.json) continue;
    std::printf("%s: %s%s%s\n", log.directory.c_str(), raft::verdict_name(log.verdict),
                log.message.empty() ? "" : ": ", log.message.c_str());
  }
  if (context.json) print_json(all);
  return verdict_code(*logs);
}

}  // namespace holdfast::cli
