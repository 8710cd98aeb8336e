//! Facts about each dataset.

use super::Official;
use crate::manifest::Split;

/// Facts about a dataset.
#[derive(Clone, Copy, Debug)]
pub struct DatasetInfo {
    /// The name in experiments.
    pub name: &'static str,
    /// Number of classes.
    pub classes: usize,
    /// The metric that the study judges it by, as an experiment names it.
    pub metric: &'static str,
    /// The licence, as far as it is known.
    pub licence: &'static str,
    /// The place where the files are to be had.
    pub source: &'static str,
    /// Files and folders that should be there.
    pub layout: &'static [&'static str],
}

/// Number of images in a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitCount {
    /// The split.
    pub split: Split,
    /// Number of images, as published.
    pub images: usize,
}

/// Lists all datasets with layouts of their own.
pub fn all_datasets() -> Vec<Official> {
    use Official::*;
    vec![
        Aircraft,
        Caltech101 { keeps_duplicates: false },
        Cars,
        Cifar10,
        Cifar100,
        Dtd { partition: 1 },
        Flowers102,
        Food101,
        Pets,
        Sun397 { partition: 1 },
        Voc2007,
        CropDiseases,
        EuroSat,
        Isic2018,
        ChestX,
    ]
}

impl Official {
    /// Gives the images in each split, as published; empty where the number is not.
    pub fn counts(self) -> Vec<SplitCount> {
        use Split::{Test, Train, Val, Whole};
        let counts: &[(Split, usize)] = match self {
            Self::Aircraft => &[(Train, 3_334), (Val, 3_333), (Test, 3_333)],
            Self::Caltech101 { keeps_duplicates: false } => &[(Train, 2_416), (Test, 6_728)],
            Self::Caltech101 { keeps_duplicates: true } => &[(Train, 3_060), (Test, 6_728)],
            Self::Cars => &[(Train, 8_144), (Test, 8_041)],
            Self::Cifar10 | Self::Cifar100 => &[(Train, 50_000), (Test, 10_000)],
            Self::Dtd { .. } => &[(Train, 1_880), (Val, 1_880), (Test, 1_880)],
            Self::Flowers102 => &[(Train, 1_020), (Val, 1_020), (Test, 6_149)],
            Self::Food101 => &[(Train, 75_750), (Test, 25_250)],
            Self::Pets => &[(Train, 3_680), (Test, 3_669)],
            Self::Sun397 { .. } => &[(Train, 19_850), (Test, 19_850)],
            Self::Voc2007 => &[(Train, 2_501), (Val, 2_510), (Test, 4_952)],
            Self::CropDiseases => &[(Whole, 43_456)],
            Self::EuroSat => &[(Whole, 27_000)],
            Self::Isic2018 => &[(Whole, 10_015)],
            Self::ChestX => &[],
        };
        counts.iter().map(|(split, images)| SplitCount { split: *split, images: *images }).collect()
    }

    /// Gives what is known of it.
    pub fn info(self) -> DatasetInfo {
        let (name, classes, metric, licence, source, layout): (_, _, _, _, _, &[&str]) = match self {
            Self::Aircraft => (
                "Aircraft",
                100,
                "MeanPerClass",
                "non-commercial research",
                "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/ (fgvc-aircraft-2013b.tar.gz)",
                &["data/images/0034309.jpg …", "data/images_variant_{train,val,test}.txt"],
            ),
            Self::Caltech101 { .. } => (
                "Caltech101",
                102,
                "MeanPerClass",
                "CC BY 4.0",
                "https://data.caltech.edu/records/mzrjq-6wc02 (caltech-101.zip); the lists are in the study's code, github.com/linusericsson/ssl-transfer",
                &["caltech101/101_ObjectCategories/<class>/image_0001.jpg …", "train.txt, test.txt"],
            ),
            Self::Cars => (
                "Cars",
                196,
                "Top1",
                "non-commercial research",
                "the original host (ai.stanford.edu/~jkrause/cars) is gone; mirrors keep cars_train.tgz, cars_test.tgz, car_devkit.tgz and cars_test_annos_withlabels.mat",
                &[
                    "cars_train/00001.jpg …",
                    "cars_test/00001.jpg …",
                    "devkit/cars_train_annos.mat",
                    "devkit/cars_test_annos_withlabels.mat",
                    "devkit/cars_meta.mat (names of classes)",
                ],
            ),
            Self::Cifar10 => (
                "Cifar10",
                10,
                "Top1",
                "not stated",
                "https://www.cs.toronto.edu/~kriz/cifar.html (cifar-10-python.tar.gz or cifar-10-binary.tar.gz, unpacked)",
                &[
                    "cifar-10-batches-py/{batches.meta,data_batch_1…5,test_batch}",
                    "or cifar-10-batches-bin/{batches.meta.txt,data_batch_1…5.bin,test_batch.bin}",
                ],
            ),
            Self::Cifar100 => (
                "Cifar100",
                100,
                "Top1",
                "not stated",
                "https://www.cs.toronto.edu/~kriz/cifar.html (cifar-100-python.tar.gz or cifar-100-binary.tar.gz, unpacked)",
                &[
                    "cifar-100-python/{meta,train,test}",
                    "or cifar-100-binary/{fine_label_names.txt,train.bin,test.bin}",
                ],
            ),
            Self::Dtd { .. } => (
                "Dtd",
                47,
                "Top1",
                "research",
                "https://www.robots.ox.ac.uk/~vgg/data/dtd/ (dtd-r1.0.1.tar.gz)",
                &["images/<class>/<class>_0001.jpg …", "labels/{train,val,test}1.txt"],
            ),
            Self::Flowers102 => (
                "Flowers102",
                102,
                "MeanPerClass",
                "not stated",
                "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/ (102flowers.tgz, imagelabels.mat, setid.mat)",
                &["jpg/image_00001.jpg …", "imagelabels.mat", "setid.mat"],
            ),
            Self::Food101 => (
                "Food101",
                101,
                "Top1",
                "images belong to their owners; fair use for research",
                "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/ (food-101.tar.gz)",
                &["food-101/images/<class>/1005649.jpg …", "food-101/meta/{train,test}.json"],
            ),
            Self::Pets => (
                "Pets",
                37,
                "MeanPerClass",
                "CC BY-SA 4.0",
                "https://www.robots.ox.ac.uk/~vgg/data/pets/ (images.tar.gz, annotations.tar.gz)",
                &["images/Abyssinian_1.jpg …", "annotations/{trainval,test}.txt"],
            ),
            Self::Sun397 { .. } => (
                "Sun397",
                397,
                "Top1",
                "research",
                "https://vision.princeton.edu/projects/2010/SUN/ (SUN397.tar.gz, Partitions.zip)",
                &["a/abbey/sun_….jpg …", "ClassName.txt", "Training_01.txt, Testing_01.txt"],
            ),
            Self::Voc2007 => (
                "Voc2007",
                20,
                "MeanAp11",
                "images under Flickr's terms of use",
                "http://host.robots.ox.ac.uk/pascal/VOC/voc2007/ (VOCtrainval_06-Nov-2007.tar, VOCtest_06-Nov-2007.tar, unpacked into one folder)",
                &[
                    "VOCdevkit/VOC2007/JPEGImages/000001.jpg …",
                    "VOCdevkit/VOC2007/ImageSets/Main/<class>_{train,val,test}.txt",
                ],
            ),
            Self::CropDiseases => (
                "CropDiseases",
                38,
                "Top1",
                "CC BY-SA 3.0",
                "https://www.kaggle.com/datasets/saroz014/plant-disease",
                &["dataset/train/<class>/….jpg …"],
            ),
            Self::EuroSat => (
                "EuroSat",
                10,
                "Top1",
                "MIT",
                "https://github.com/phelber/EuroSAT (EuroSAT.zip, RGB)",
                &["2750/<class>/<class>_1.jpg …"],
            ),
            Self::Isic2018 => (
                "Isic2018",
                7,
                "Top1",
                "CC BY-NC 4.0",
                "https://challenge.isic-archive.com/data/#2018 (task 3, training input and ground truth)",
                &[
                    "ISIC2018_Task3_Training_Input/ISIC_0024306.jpg …",
                    "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv",
                ],
            ),
            Self::ChestX => (
                "ChestX",
                7,
                "Top1",
                "no restriction, with attribution to NIH",
                "https://nihcc.app.box.com/v/ChestXray-NIHCC (42 GB)",
                &["images/00000001_000.png …", "Data_Entry_2017.csv"],
            ),
        };
        DatasetInfo { name, classes, metric, licence, source, layout }
    }
}
