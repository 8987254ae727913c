// holdfast log: looks at a server's log offline.
#include <cstdio>

#include "clients/cli/command.h"
#include "clients/cli/output.h"
#include "raft/storage/log_inspect.h"
#include "raft/storage/posix_file_system.h"

namespace holdfast::cli {

namespace {

int run_log(const Arguments& arguments, raft::InspectDetail detail) {
  if (arguments.positional().size() != 1) {
    std::fprintf(stderr, "holdfast: one data directory is needed\n");
    return kUsage;
  }
  raft::PosixFileSystem files;
  const auto logs = raft::inspect_data_directory(files, arguments.positional()[0], detail);
  if (!logs.ok()) return fail({logs.error().code, logs.error().message});
  bool sound = true;
  for (const raft::LogInspection& log : *logs) {
    std::printf("%s", raft::format_inspection(log).c_str());
    sound = sound && log.verdict != raft::LogInspection::Verdict::kDamaged;
  }
  return sound ? kDone : kFailed;
}

int run_inspect(const Arguments& arguments) {
  return run_log(arguments, arguments.has("records") ? raft::InspectDetail::kRecords
                                                     : raft::InspectDetail::kBatches);
}

int run_verify(const Arguments& arguments) {
  return run_log(arguments, raft::InspectDetail::kSegments);
}

}  // namespace

std::vector<Command> log_commands() {
  return {
      {"log inspect",
       "DIR [--records]",
       "show what stands in a server's log, offline",
       "Reads only, also a damaged log or that of a running server.\n\n"
       "  holdfast log inspect holdfast-data\n",
       {{"records", nullptr, "also every record"}},
       &run_inspect},
      {"log verify",
       "DIR",
       "check every record of a server's log, offline",
       "Exit code 1 if it is damaged; an unfinished last write is not damage.\n\n"
       "  holdfast log verify holdfast-data\n",
       {},
       &run_verify},
  };
}

}  // namespace holdfast::cli
