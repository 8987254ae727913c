#include "coordinator/loading/quarantine_file.h"

#include <cstdio>
#include <string_view>

#include "base/checksum.h"

namespace holdfast::loading {
namespace {

constexpr const char* kName = "quarantine";
constexpr std::string_view kFirstLine = "holdfast quarantine 1\n";
constexpr uint64_t kBytesMax = 64 << 10;

std::string checksum_line(std::string_view text) {
  char line[32];
  std::snprintf(line, sizeof line, "checksum %016llx\n",
                static_cast<unsigned long long>(checksum64(text)));
  return line;
}

/// The sentence of a whole file.
std::optional<std::string> why_in(std::string_view text) {
  const size_t end = text.rfind("checksum ");
  if (end == std::string_view::npos || text.substr(end) != checksum_line(text.substr(0, end)) ||
      !text.starts_with(kFirstLine) || end <= kFirstLine.size()) {
    return std::nullopt;
  }
  return std::string(text.substr(kFirstLine.size(), end - 1 - kFirstLine.size()));
}

}  // namespace

QuarantineFile::QuarantineFile(raft::FileSystem& files, const std::string& data_directory,
                               GroupId group)
    : files_(files),
      directory_(data_directory + "/group-" + std::to_string(group.value)),
      path_(directory_ + "/" + kName) {}

Result<std::optional<std::string>> QuarantineFile::read() const {
  auto there = files_.exists(path_);
  if (!there) return there.error().to_error();
  if (!*there) return std::optional<std::string>();
  auto text = raft::read_file(files_, path_, kBytesMax);
  if (!text) return text.error().to_error();
  if (auto why = why_in(*text)) return why;
  return std::optional<std::string>(path_ + " is there, and its checksum does not match");
}

Status QuarantineFile::write(const std::string& why) {
  const std::string text = std::string(kFirstLine) + why + "\n";
  const auto written = raft::replace_file(files_, directory_, kName, text + checksum_line(text));
  if (!written) return written.error().to_error();
  return ok_status();
}

Status QuarantineFile::remove() {
  auto there = files_.exists(path_);
  if (!there) return there.error().to_error();
  if (!*there) return ok_status();
  if (auto gone = files_.unlink(path_); !gone) return gone.error().to_error();
  if (auto synced = files_.sync_directory(directory_); !synced) return synced.error().to_error();
  return ok_status();
}

}  // namespace holdfast::loading
