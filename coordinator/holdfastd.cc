// holdfastd: a server of a Holdfast cluster. Ends with the exit codes of
// coordinator/server/options.h and, if not by its own wish, one line on standard error that says
// why.
#include <glog/logging.h>

#include <csignal>
#include <cstdio>

#include "coordinator/server/options.h"
#include "coordinator/server/process_limits.h"
#include "coordinator/server/server.h"

namespace {

using holdfast::server::ExitCode;
using holdfast::server::Failure;

int end_with(const Failure& failure) {
  std::fprintf(stderr, "holdfastd: %s\n", failure.message.c_str());
  return static_cast<int>(failure.code);
}

/// Log files only where the operator wants them; standard error otherwise, never the default /tmp.
void set_up_logging(const char* program, const std::string& directory) {
  FLAGS_logtostderr = directory.empty();
  FLAGS_log_dir = directory;
  FLAGS_logbufsecs = 1;
  google::InitGoogleLogging(program);
}

/// Its threads have ended when it returns: what they log comes before the reason of the end.
std::optional<Failure> serve(const holdfast::server::ServerOptions& options) {
  holdfast::server::Server server(options);
  if (auto failed = server.start()) return failed;
  return server.run();
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  const auto options = holdfast::server::options_from_flags(argc, argv);
  if (!options.ok()) return end_with({ExitCode::kBadFlag, options.error().message});
  set_up_logging(argv[0], options->log_dir);
  holdfast::server::raise_descriptor_limit();
  holdfast::server::give_back_large_blocks();
  const auto enough = holdfast::server::check_descriptors(*options);
  if (!enough.ok()) return end_with({ExitCode::kBadFlag, enough.error().message});
  const auto failed = serve(*options);
  return failed ? end_with(*failed) : static_cast<int>(ExitCode::kOk);
}
