"""What is wrong with an installation, and the command that mends each fault; see `examine`."""

from emwatch.service.doctor.examination import Examination, examine
from emwatch.service.doctor.finding import Finding, Level, Machine

__all__ = ["Examination", "Finding", "Level", "Machine", "examine"]
