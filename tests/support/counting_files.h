// A disk port that counts what is written through it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "raft/storage/file_system.h"

namespace holdfast::raft {

/// One thread at a time. What is filled with zeros ahead is not counted.
class CountingFiles final : public FileSystem {
 public:
  explicit CountingFiles(FileSystem& below) : below_(below) {}
  uint64_t written_bytes() const { return written_; }

  IoResult<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    auto file = below_.open(path, mode);
    if (!file) return file.error();
    return std::unique_ptr<File>(std::make_unique<Counted>(std::move(*file), written_));
  }
  IoStatus create_directory(const std::string& path) override {
    return below_.create_directory(path);
  }
  IoResult<std::vector<std::string>> list(const std::string& path) override {
    return below_.list(path);
  }
  IoResult<bool> exists(const std::string& path) override { return below_.exists(path); }
  IoStatus rename(const std::string& from, const std::string& to) override {
    return below_.rename(from, to);
  }
  IoStatus unlink(const std::string& path) override { return below_.unlink(path); }
  IoStatus sync_directory(const std::string& path) override { return below_.sync_directory(path); }
  IoResult<uint64_t> free_bytes(const std::string& path) override {
    return below_.free_bytes(path);
  }
  IoResult<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    return below_.lock(path);
  }

 private:
  class Counted final : public File {
   public:
    Counted(std::unique_ptr<File> below, uint64_t& written)
        : below_(std::move(below)), written_(written) {}
    IoResult<size_t> read(uint64_t offset, char* out, size_t size) override {
      return below_->read(offset, out, size);
    }
    IoStatus write(uint64_t offset, std::string_view bytes) override {
      written_ += bytes.size();
      return below_->write(offset, bytes);
    }
    IoStatus allocate(uint64_t offset, uint64_t size) override {
      return below_->allocate(offset, size);
    }
    IoStatus zero_fill(uint64_t offset, uint64_t size) override {
      return below_->zero_fill(offset, size);
    }
    IoStatus sync() override { return below_->sync(); }
    IoStatus truncate(uint64_t size) override { return below_->truncate(size); }
    IoResult<uint64_t> size() override { return below_->size(); }

   private:
    const std::unique_ptr<File> below_;
    uint64_t& written_;
  };

  FileSystem& below_;
  uint64_t written_ = 0;
};

}  // namespace holdfast::raft
