"""Where the data sets of faces are obtained; imports nothing, so that lists of them are instant."""

OBTAINED_300W = "https://ibug.doc.ic.ac.uk/resources/facial-point-annotations/ (research use)"
OBTAINED_WFLW = "https://wywu.github.io/projects/LAB/WFLW.html (research use)"
OBTAINED_AFLW = (
    "annotations http://mmlab.ie.cuhk.edu.hk/projects/compositional.html, images "
    "https://www.tugraz.at/institute/icg/research/team-bischof/lrs/downloads/aflw (research use)"
)
OBTAINED_COFW = "https://data.caltech.edu/records/20099, COFW_color.zip"
OBTAINED_COFW68 = (
    "annotations https://github.com/golnazghiasi/cofw68-benchmark, images COFW_test_color.mat of "
    "https://data.caltech.edu/records/20099"
)
