// What the system lets this process have: threads and open files. A limit that is too low for a
// server is found out when it starts, and named with the way to raise it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>

#include "base/error.h"
#include "coordinator/server/options.h"

namespace holdfast::server {

/// What a server opens before it has clients, or may need at any time: its log, its snapshot, its
/// ports, some connections of each peer. A fresh one takes some 25.
constexpr size_t kOwnDescriptors = 64;
/// Its loop, with libevent's own, and what it wakes by.
constexpr size_t kDescriptorsOfAnIoThread = 8;

/// Clients leave so many more than net::kDescriptorsKept, by which an operator gets in.
constexpr uint32_t kDescriptorsKeptForOperators = 8;

/// The process takes all the open files that it may have: many systems begin with fewer, for the
/// sake of programs that use select(2).
void raise_descriptor_limit();

/// From so many bytes on, memory is the system's again as soon as it is freed: what waits for the
/// snapshot (RowSpan::kBlockBytes) comes and goes by hundreds of MiB. glibc would raise its bound
/// beyond such blocks when the first of them is freed, and keep all later ones.
constexpr int kGivenBackBytes = 512 << 10;
void give_back_large_blocks();

/// Opens as many files at once as this server needs before it has clients, and closes them: that
/// finds a limit of the process, one of the whole system, and files that were inherited. The error
/// names the limit.
Status check_descriptors(const ServerOptions& options);

/// What to say when std::thread threw.
std::string no_thread(const std::system_error& error);

}  // namespace holdfast::server
