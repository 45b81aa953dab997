"""How time and memory grow with the size of the images, the batch, the boxes, the classes and the data set."""
