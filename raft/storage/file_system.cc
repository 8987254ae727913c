#include "raft/storage/file_system.h"

#include <cerrno>
#include <system_error>

namespace holdfast::raft {

bool IoError::out_of_space() const { return number == ENOSPC || number == EDQUOT; }

Error IoError::to_error() const {
  std::string message = operation + " of " + path +
                        " failed: " + std::generic_category().message(number) + " (errno " +
                        std::to_string(number) + ")";
  if (!detail.empty()) message += ": " + detail;
  if (number == EMFILE) message += "; raise the limit of open files (`ulimit -n`)";
  if (number == ENFILE) message += "; raise the system's limit of open files (fs.file-max)";
  return {out_of_space() ? ErrorCode::kNoSpace : ErrorCode::kDiskFailed, std::move(message)};
}

IoResult<std::string> read_file(FileSystem& files, const std::string& path, uint64_t limit) {
  auto file = files.open(path, OpenMode::kRead);
  if (!file) return file.error();
  auto size = (*file)->size();
  if (!size) return size.error();
  if (*size > limit) {
    return IoError{EFBIG, "read", path,
                   std::to_string(*size) + " bytes, limit " + std::to_string(limit)};
  }
  std::string content(*size, '\0');
  auto got = (*file)->read(0, content.data(), content.size());
  if (!got) return got.error();
  content.resize(*got);
  return content;
}

namespace {

IoStatus write_whole(FileSystem& files, const std::string& path, std::string_view content) {
  auto file = files.open(path, OpenMode::kCreate);
  if (!file) return file.error();
  if (auto done = (*file)->write(0, content); !done) return done;
  return (*file)->sync();
}

}  // namespace

IoStatus replace_file(FileSystem& files, const std::string& directory, const std::string& name,
                      std::string_view content) {
  const std::string path = directory + "/" + name;
  const std::string temporary = path + ".new";
  if (auto done = write_whole(files, temporary, content); !done) return done;
  if (auto done = files.rename(temporary, path); !done) return done;
  return files.sync_directory(directory);
}

}  // namespace holdfast::raft
